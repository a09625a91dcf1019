"""Every operation is answered: the served ones as the client expects, all others, and malformed ones, at once with the reason."""

import unittest

from kvclient import Engine, dense, tokens, unique
from lmcache.v1.distributed.api import MemoryLayoutDesc, ObjectKey
from lmcache.v1.multiprocess.custom_types import (
    BlockAllocationRecord,
    RegisterEngineDrivenContextPayload,
)
from lmcache.v1.multiprocess.protocols.server_module import ServerModuleCallRequest
from rawpeer import RawPeer, pack, unpack
from server import PATIENCE, ServerCase

OPERATIONS = {
    1: "register_kv_cache", 2: "unregister_kv_cache", 3: "register_q_cache", 4: "unregister_q_cache", 5: "store_q", 6: "store",
    7: "retrieve", 8: "lookup", 9: "query_prefetch_status", 10: "wait_prefetch_status", 12: "free_lookup_locks",
    13: "end_session", 14: "register_kv_cache_engine_driven_context", 15: "unregister_kv_cache_engine_driven_context",
    16: "prepare_store", 17: "commit_store", 18: "prepare_retrieve", 19: "commit_retrieve", 20: "clear", 21: "get_chunk_size",
    22: "ping", 23: "report_block_allocation", 24: "noop", 25: "cb_register_rope", 26: "cb_unregister_rope",
    27: "cb_retrieve_pre_computed", 28: "cb_unified_lookup", 29: "p2p_lookup_and_lock", 30: "p2p_query_lookup_results",
    31: "p2p_unlock_objects", 32: "get_experimental", 33: "cb_protocol_handshake",
}
SERVED = {1, 2, 6, 7, 8, 9, 10, 12, 13, 20, 21, 22, 23, 24, 32}


def wait(future):
    return future.result(timeout=PATIENCE)


class Served(ServerCase):
    def test_all_served_operations_through_the_request_client(self):
        client = self.connect()
        engine = Engine(client, [dense()], 512)
        self.assertEqual(wait(client.noop()), "OK")
        self.assertEqual(wait(client.get_chunk_size()), 256)
        self.assertEqual(wait(client.get_experimental()), [])
        self.assertIsNone(wait(client.report_block_allocation(1, "m", [BlockAllocationRecord("r", [1, 2], [3, 4])])))
        engine.register()
        self.assertIs(wait(client.ping(engine.instance)), True)
        toks = tokens(512)
        self.assertIsNone(wait(engine.send_lookup(toks, "r")))
        self.assertEqual(wait(client.query_prefetch_status("r")), 0)
        self.assertEqual(wait(engine.send_store(toks, "r")), (b"stub_ipc_handle", True))
        self.assertIsNone(wait(engine.send_lookup(toks, "r")))
        self.assertEqual(wait(client.query_prefetch_status("r")), 2)
        self.assertEqual(wait(client.query_prefetch_status("r")), 0, "a result is given once")
        self.assertEqual(wait(engine.send_retrieve(toks, "r")), (b"stub_ipc_handle", True))
        self.assertIsNone(wait(engine.send_lookup(toks, "r")))
        self.assertEqual(wait(client.wait_prefetch_status("r", 5.0)), 2)
        self.assertEqual(wait(client.wait_prefetch_status("r", 5.0)), 0)
        self.assertIsNone(wait(engine.send_free(toks, "r")))
        self.assertIsNone(wait(client.end_session("r")))
        self.assertIsNone(wait(client.clear(False)))
        self.assertIsNone(wait(client.clear(True)))
        self.assertIsNone(wait(client.unregister_kv_cache(engine.instance)))

    def test_unknown_things_are_acknowledged(self):
        client = self.connect()
        engine = Engine(client, [dense()], 512)
        self.assertIsNone(wait(client.unregister_kv_cache(engine.instance)))
        self.assertIsNone(wait(client.end_session("nobody")))
        self.assertEqual(wait(client.query_prefetch_status("nobody")), 0)
        self.assertEqual(wait(client.wait_prefetch_status("nobody", float(PATIENCE))), 0)
        self.assertIsNone(wait(engine.send_lookup(tokens(512), "r")), "no worker has registered the model")
        self.assertEqual(wait(client.query_prefetch_status("r")), 0)
        self.assertIsNone(wait(engine.send_free(tokens(512), "r")))

    def test_store_and_retrieve_of_an_unknown_worker_are_false_without_an_event(self):
        engine = Engine(self.connect(), [dense()], 512)
        self.assertEqual(wait(engine.send_store(tokens(512), "r")), (b"", False))
        self.assertEqual(wait(engine.send_retrieve(tokens(512), "r")), (b"", False))

    def test_an_empty_range_moves_nothing_and_succeeds(self):
        engine = Engine(self.connect(), [dense()], 512).register()
        self.assertEqual(wait(engine.send_store(tokens(512), "r", 256, 256, blocks=[[]])), (b"stub_ipc_handle", True))
        self.assertEqual(wait(engine.send_store(tokens(512), "r", event=b"")), (b"", True))

    def test_readers_not_given_count_as_one(self):
        engine = Engine(self.connect(), [dense()], 512, readers=0).register()
        toks = tokens(512)
        self.assertTrue(engine.store(toks, "r"))
        self.assertEqual(engine.lookup(toks, "r"), 2)
        self.assertTrue(engine.retrieve(toks, "r"))
        self.assertFalse(engine.retrieve(toks, "r"))

    def test_ping(self):
        client, other = self.connect(), self.connect()
        engine = Engine(client, [dense()], 512)
        self.assertIs(wait(client.ping(None)), True)
        for connection in (client, other):
            self.assertIs(wait(connection.ping(engine.instance)), False, "an unknown worker is told once")
            self.assertIs(wait(connection.ping(engine.instance)), True)
            self.assertIs(wait(connection.ping(engine.instance)), True)
        engine.register()
        self.assertIs(wait(client.ping(engine.instance)), True)
        engine.unregister()
        self.assertIs(wait(client.ping(engine.instance)), False)
        self.assertIs(wait(client.ping(engine.instance)), True)

    def test_a_heartbeat_behind_its_own_registration_is_good(self):
        client = self.connect()
        engine = Engine(client, [dense()], 512)
        registration = client.register_kv_cache(engine.instance, engine.wrappers(), engine.model, 1, engine.engine_type,
                                                engine.hints, engine.infos)
        self.assertIs(wait(client.ping(engine.instance)), True)
        wait(registration)

    def test_a_registration_that_disagrees_with_its_groups_says_so(self):
        from lmcache.v1.multiprocess.group_view import EngineGroupInfo

        client = self.connect()
        wrong = [
            [EngineGroupInfo(0, (0,), 16), EngineGroupInfo(0, (1,), 16)],  # one group, sent as two
            [EngineGroupInfo(0, (0, 1), 24)],  # the chunk is no multiple of it
            [EngineGroupInfo(0, (0, 7), 16)],  # no such tensor
        ]
        for infos in wrong:
            engine = Engine(client, [dense()], 512, infos=infos)
            with self.assertRaisesRegex(ValueError, "register_kv_cache: .+"):
                engine.register()

    def test_a_refused_registration_leaves_nothing_behind(self):
        """Also where the client's next heartbeat is quick: hence a bare peer, and many times."""
        peer = RawPeer(self.server.url, self.context)
        self.addCleanup(peer.close)
        for instance in range(1000, 1200):
            reply = peer.ask(1, *map(pack, (instance, [], "m", 1, "vllm", {}, [])))
            self.assertIn("register_kv_cache: ", unpack(reply[0]))
            self.assertIs(peer.call(22, instance), False)

    def test_registering_again_replaces_the_tensors(self):
        client = self.connect()
        first = Engine(client, [dense()], 512)
        second = Engine(client, [dense(heads=4)], 1024, model=first.model)
        second.instance = first.instance
        first.register()
        second.register()
        toks = tokens(1024)
        second.fill(1)
        stored = second.bytes()
        self.assertTrue(second.store(toks, "r"))
        self.assertEqual(second.lookup(toks, "r"), 4)
        second.fill(2)
        before = second.bytes()
        self.assertTrue(second.retrieve(toks, "r"))
        written = second.written(second.blocks(0, 1024), 0, 1024)
        self.assertEqual(second.differing(second.expect(before, stored, written)), 0)


class NotServed(ServerCase):
    def refused(self, future, name):
        with self.assertRaisesRegex(ValueError, f"{name}: this server does not offer"):
            wait(future)

    def test_each_through_the_request_client(self):
        client = self.connect()
        engine = Engine(client, [dense()], 512)
        key = engine.key(tokens(512), 0, 512, "r")
        registration = (1, engine.wrappers(), "m", 1, engine.engine_type, {}, [])
        driven = RegisterEngineDrivenContextPayload(1, "m", 1, 16, 2, 64, "bfloat16", False)
        objects = [ObjectKey(chunk_hash=b"\1" * 32, model_name="m", kv_rank=0)]
        calls = {
            "register_q_cache": registration,
            "unregister_q_cache": (1,),
            "store_q": (key, 1, [[1]], b""),
            "register_kv_cache_engine_driven_context": (driven,),
            "unregister_kv_cache_engine_driven_context": (1,),
            "prepare_store": (key, 1),
            "commit_store": (key, 1, b""),
            "prepare_retrieve": (key, 1),
            "commit_retrieve": (key, 1),
            "cb_register_rope": (1, engine.wrappers(), 64, True, [0], [[64]], [64], ""),
            "cb_unregister_rope": (1,),
            "cb_retrieve_pre_computed": (key, [], [[1]], 1, b""),
            "cb_unified_lookup": (key, 1),
            "cb_reorder_plan": (key, 0, 10),
            "cb_protocol_handshake": (1,),
            "p2p_lookup_and_lock": (objects, {0: MemoryLayoutDesc([engine.views[0][1].shape], [engine.views[0][1].dtype])}),
            "p2p_query_lookup_results": (1,),
            "p2p_unlock_objects": (objects,),
            "server_module_call": (ServerModuleCallRequest("m", b""),),
        }
        for name, arguments in calls.items():
            with self.subTest(name):
                self.refused(getattr(client, name)(*arguments), name)
        self.assertEqual(wait(client.noop()), "OK")

    def test_an_event_subscription_ends_by_itself_and_leaves_the_connection_in_order(self):
        client = self.connect()
        stream = client.subscribe_kv_events(1, "m", 0, 10)
        with self.assertRaises((StopIteration, ConnectionError)):
            next(stream)
        stream.close()
        self.assertEqual(wait(client.noop()), "OK")


class Malformed(ServerCase):
    """Sent as raw frames. The reply is a failure value where an engine's step loop waits, else an error text."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good_key = {"model_name": "m", "world_size": 1, "worker_id": 0, "token_ids": [1] * 256, "start": 0, "end": 256,
                        "request_id": "r"}
        key, number = pack(cls.good_key), pack(1)
        cls.good = {
            1: [number, pack([]), pack("m"), number, pack("vllm"), pack({}), pack([])],
            2: [number],
            6: [key, number, pack([[1] * 16]), pack(b"")],
            7: [key, number, pack([[1] * 16]), pack(b""), pack(0)],
            8: [key, number],
            9: [pack("r")],
            10: [pack("r"), pack(0.0)],
            12: [key, number],
            13: [pack("r")],
            20: [pack(False)],
            21: [],
            22: [number],
            23: [number, pack("m"), pack([])],
            24: [],
            32: [],
        }

    def setUp(self):
        self.peer = RawPeer(self.server.url, self.context)
        self.addCleanup(self.peer.close)

    def check_failure(self, operation, reply):
        """The failure form of an operation."""
        values = {2: [], 6: [pack([b"", False])], 7: [pack([b"", False])], 8: [], 9: [pack(0)], 10: [pack(0)]}
        if operation in values:
            self.assertEqual(reply, [pack(operation), *values[operation]])
            return
        self.assertEqual(len(reply), 1)
        self.assertTrue(unpack(reply[0]).startswith(OPERATIONS[operation] + ": "), reply)

    def test_too_few_and_too_many_frames(self):
        for operation, payload in self.good.items():
            with self.subTest(OPERATIONS[operation]):
                self.check_failure(operation, self.peer.ask(operation, *payload, pack(None)))
                if payload:
                    self.check_failure(operation, self.peer.ask(operation, *payload[:-1]))

    def test_wrong_types_and_garbage_in_every_frame(self):
        tolerated = {(8, 1), (12, 1), (22, 0)}  # tp_size is ignored; ping takes nil
        for operation, payload in self.good.items():
            for place in range(len(payload)):
                for bad in (b"", b"\xc1", pack(None), pack({"x": [1]}), b"\xdd\xff\xff\xff\xff", payload[place] + b"\x00",
                            payload[place][:-1]):
                    if (operation, place) in tolerated or (operation, place, bad) == (1, 5, pack({"x": [1]})):
                        continue  # an unknown hint is no error
                    with self.subTest(operation=OPERATIONS[operation], place=place, bad=bad):
                        self.check_failure(operation, self.peer.ask(operation, *payload[:place], bad, *payload[place + 1:]))
        self.assertEqual(self.peer.call("noop"), "OK")

    def test_bad_keys(self):
        changes = [
            {"token_ids": [-1] * 256}, {"token_ids": [1 << 32] * 256}, {"token_ids": ["a"]}, {"token_ids": 7}, {"world_size": 0},
            {"world_size": -1}, {"world_size": 1 << 40}, {"worker_id": 1}, {"worker_id": -1}, {"start": -1}, {"end": -1},
            {"model_name": "a@b"}, {"cache_salt": "a/b"}, {"cache_salt": "a@b"}, {"cache_salt": "a\\b"}, {"cache_salt": "a\0b"},
            {"cache_salt": "s" * 129}, {"request_id": 5}, {"num_kv_readers": -1}, {"num_kv_readers": "x"},
        ]
        for change in changes:
            bad = pack({**self.good_key, **change})
            with self.subTest(**change):
                for operation in (6, 7, 8, 12):
                    self.check_failure(operation, self.peer.ask(operation, bad, *self.good[operation][1:]))
        for field in self.good_key:
            bad = pack({k: v for k, v in self.good_key.items() if k != field})
            with self.subTest(missing=field):
                self.check_failure(8, self.peer.ask(8, bad, pack(1)))

    def test_bad_transfers_of_a_registered_worker(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        toks = tokens(1024)
        ids = engine.blocks(0, 1024)
        self.assertTrue(engine.store(toks, "stored"))
        key = engine.key(toks, 0, 1024, "r")
        beyond = engine.views[0][1].shape[0]
        bad = [
            (key, [ids[0][:-1]], b""),  # short
            (key, [], b""), (key, ids + ids, b""),  # wrong number of lists
            (key, [ids[0] + [1]], b""),  # no whole chunk
            (key, [[beyond] + ids[0][1:]], b""), (key, [[-1] + ids[0][1:]], b""), (key, [ids[0][:-1] + [1 << 62]], b""),
            (engine.key(toks, 1, 1024, "r"), ids, b""), (engine.key(toks, 0, 1000, "r"), ids, b""),
            (engine.key(toks, 0, 1280, "r"), ids, b""),
            (engine.key(toks, 0, 1024, "r", worker=False), ids, b""),
            (key, ids, b"x" * 64), (key, ids, b"x"),  # no CPU worker's event
        ]
        engine.fill(3)
        before = engine.bytes()
        for key, blocks, event in bad:
            with self.subTest(blocks=len(blocks), start=key.start, end=key.end, worker=key.worker_id, event=event):
                self.assertIs(wait(engine.client.store(key, engine.instance, blocks, event))[1], False)
                self.assertEqual(engine.lookup(toks, "r"), 4)
                self.assertIs(wait(engine.client.retrieve(key, engine.instance, blocks, event, 0))[1], False)
        self.assertEqual(engine.differing(before), 0, "a refused retrieve wrote")
        self.assertFalse(engine.hit(tokens(1024)))

    def test_operations_by_name_are_echoed_by_name(self):
        for operation in SERVED:
            if operation == 1:
                continue  # without tensors there is nothing to register
            name = OPERATIONS[operation]
            reply = self.peer.ask(name, *self.good[operation])
            self.assertEqual(unpack(reply[0]), name)
        self.assertIn("register_kv_cache: ", unpack(self.peer.ask("register_kv_cache", *self.good[1])[0]))

    def test_unknown_operations(self):
        for operation in (11, 0, -1, 34, 1 << 40, "no_such_operation", "", b"\xc1", b"\xff\xff", pack(None), pack([1]),
                          pack(24) + b"\0", pack(2.5)):
            with self.subTest(operation):
                reply = self.peer.ask(operation, pack(1))
                self.assertEqual(len(reply), 1)
                self.assertIn("operation", unpack(reply[0]))

    def test_one_frame(self):
        self.peer.send(pack(5))
        reply = self.peer.receive()
        self.assertEqual(reply[0], pack(5))
        self.assertIn("operation", unpack(reply[1]))
        self.assertEqual(self.peer.call("noop"), "OK")

    def test_stream_controls_of_no_stream_are_ignored(self):
        for control in (b"ack", b"cancel"):
            self.peer.send(pack(1), b"", control)
        self.assertEqual(self.peer.call("noop"), "OK")  # the first reply that comes

    def test_an_empty_operation_that_controls_no_stream_is_answered(self):
        for rest in ((), (b"stop",), (b"ack", b"")):
            self.peer.send(pack(2), b"", *rest)
            uid, text = self.peer.receive()
            self.assertEqual(uid, pack(2))
            self.assertIn("operation", unpack(text))

    def test_the_uid_comes_back_as_it_was_sent(self):
        for uid in (pack("text"), b"\xff\x00raw", b"", pack(1 << 63)):
            self.peer.send(uid, pack(24))
            self.assertEqual(self.peer.receive(), [uid, pack(24), pack("OK")])

    def test_every_unserved_operation_whatever_it_carries(self):
        for operation, name in OPERATIONS.items():
            if operation in SERVED:
                continue
            for payload in ([], [pack(1)], [b"\xc1"] * 12):
                reply = self.peer.ask(operation, *payload)
                self.assertEqual(unpack(reply[0]), f"{name}: this server does not offer the operation")


if __name__ == "__main__":
    unittest.main()
