"""Other clients than the newest: fields they do not send yet, fields we do not know yet; and what makes a chunk's identity."""

import unittest

from kvclient import Engine, dense, tokens
from rawpeer import RawPeer, pack, unpack
from server import PATIENCE, ServerCase


class OldClients(ServerCase):
    def setUp(self):
        self.peer = RawPeer(self.server.url, self.context)
        self.addCleanup(self.peer.close)
        self.engine = Engine(self.connect(), [dense()], 512)
        self.toks = tokens(512)

    def key(self, worker=0, **changes):
        """The oldest key map there is."""
        return {"model_name": self.engine.model, "world_size": 1, "worker_id": worker, "token_ids": self.toks, "start": 0,
                "end": 512, "request_id": "r", **changes}

    def check_request(self, **changes):
        peer, engine = self.peer, self.engine
        blocks = engine.blocks(0, 512)
        self.assertEqual(peer.call(6, self.key(**changes), engine.instance, blocks, b""), [b"", True])
        self.assertIsNone(peer.call(8, self.key(None, **changes), 1))
        self.assertEqual(peer.call(9, "r"), 2)
        self.assertEqual(peer.call(7, self.key(**changes), engine.instance, blocks, b"", 0), [b"", True])
        self.assertEqual(peer.call(7, self.key(**changes), engine.instance, blocks, b"", 0), [b"", False], "one reader")
        self.assertIsNone(peer.call(8, self.key(None, **changes), 1))
        self.assertEqual(peer.call(10, "r", 5), 2)  # an int where newer clients send a float
        self.assertIsNone(peer.call(12, self.key(None, **changes), 1))
        self.assertEqual(peer.call(7, self.key(**changes), engine.instance, blocks, b"", 0), [b"", False])
        self.assertIsNone(peer.call(13, "r"))

    def test_keys_without_readers_salt_and_configs(self):
        self.engine.register()
        self.check_request()

    def test_keys_with_fields_of_the_future_in_any_order(self):
        self.engine.register()
        future = {"zeta": [1, {"a": None}], "num_kv_readers": 0, "cache_salt": "", "request_configs": {"k": [1.5]}}
        self.check_request(**future)
        backwards = dict(reversed(self.key(None, **future).items()))
        self.assertIsNone(self.peer.call(8, backwards, 1))
        self.assertEqual(self.peer.call(9, "r"), 2)

    def test_registration_with_group_infos_of_the_past(self):
        wrappers = self.engine.wrappers()
        from lmcache.v1.multiprocess.custom_types import DeviceIPCWrapper, get_customized_encoder

        tensors = get_customized_encoder(list[DeviceIPCWrapper]).encode(wrappers)
        for infos in ([{"engine_group_id": 0, "layer_indices": [0, 1]}],
                      [{"engine_group_id": 0, "layer_indices": [0, 1], "tokens_per_block": 16, "of_the_future": {"x": 1}}],
                      []):
            reply = self.peer.ask(1, pack(self.engine.instance), tensors, pack(self.engine.model), pack(1), pack("vllm"),
                                  pack({"kv_layout": "NHD", "of_the_future": 7}), pack(infos))
            self.assertEqual(reply, [pack(1)])
            self.check_request()

    def test_a_flat_list_of_block_ids_is_refused(self):
        self.engine.register()
        self.assertEqual(self.peer.call(6, self.key(), self.engine.instance, self.engine.blocks(0, 512)[0], b""), [b"", False])

    def test_pickled_descriptors_are_refused_and_never_loaded(self):
        import msgspec

        tensors = pack([msgspec.msgpack.Ext(1, b"\x80\x04\x95cposix\nsystem\n")])
        reply = self.peer.ask(1, pack(1), tensors, pack("m"), pack(1), pack("vllm"), pack({}), pack([]))
        self.assertTrue(unpack(reply[0]).startswith("register_kv_cache: "))


class Identity(ServerCase):
    """Two sequences share a chunk if and only if all tokens up to its end are equal."""

    flags = ("--chunk-size", "32")

    def test_every_bit_of_every_token_counts(self):
        engine = Engine(self.connect(), [dense()], 64, chunk=32).register()
        toks = [(1 << 32) - 1] * 16 + [0] * 16 + list(range(1 << 31, (1 << 31) + 32))
        self.assertTrue(engine.store(toks, "s"))
        self.assertEqual(engine.hit(toks), 2)
        for place in (0, 15, 31):
            for bit in (0, 8, 16, 31):
                other = list(toks)
                other[place] ^= 1 << bit
                self.assertEqual(engine.hit(other), 0, f"token {place}, bit {bit}")
                other = list(toks)
                other[32 + place] ^= 1 << bit
                self.assertEqual(engine.hit(other), 1, f"token {32 + place}, bit {bit}")

    def test_a_chunk_is_not_found_elsewhere(self):
        engine = Engine(self.connect(), [dense()], 96, chunk=32).register()
        a, b, c = (tokens(32) for _ in range(3))
        self.assertTrue(engine.store(a + b + c, "s"))
        self.assertEqual(engine.hit(a + b + c), 3)
        self.assertEqual(engine.hit(a + c + b), 1)
        self.assertEqual(engine.hit(b + c), 0)
        self.assertEqual(engine.hit(a[1:] + b + c), 0)
        self.assertEqual(engine.hit(a + b + c + [1]), 3)

    def test_a_token_beyond_32_bits_is_refused(self):
        engine = Engine(self.connect(), [dense()], 64, chunk=32).register()
        self.assertFalse(engine.store([1 << 32] * 64, "s"))
        self.assertIsNone(engine.send_lookup([1 << 32] * 64, "s").result(timeout=PATIENCE))
        self.assertEqual(engine.client.query_prefetch_status("s").result(timeout=PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
