"""One requester never delays another. What is asserted is an order: the small requests of one connection are answered while a
large request of another is still under way. A server that did one thing at a time would answer the large one first."""

import unittest

from kvclient import Engine, Group, connect, dense, tokens, unique
from lmcache.v1.multiprocess.custom_types import IPCCacheServerKey
from rawpeer import RawPeer, pack
from server import PATIENCE, ServerCase

ROUND_TRIPS = 5  # one or two is what a server gives that does one thing at a time; a busy machine leaves hundreds


def wait(future):
    return future.result(timeout=PATIENCE)


class Fairness(ServerCase):
    l1_gb = "1.125"
    flags = ("--eviction-trigger-watermark", "1")  # the large store alone is above the usual one

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A worker of one GiB in 16 chunks.
        group = Group(0, 4, 256, (None, 256, 64, 512), page=16 << 20)
        cls.large_client = connect(cls.server.url, cls.context)
        cls.large = Engine(cls.large_client, [group], 16 * 256).register()

    @classmethod
    def tearDownClass(cls):
        cls.large_client.close()
        cls.large.close()
        super().tearDownClass()

    def rounds_while(self, running, *requests):
        """How often all of the small requests were answered while the large ones were running."""
        rounds = 0
        while True:
            for request in requests:
                wait(request())
            if all(future.query() for future in running):
                return rounds
            rounds += 1

    def small_engine(self):
        engine = Engine(self.connect(), [dense()], 512).register()
        self.toks = tokens(512)
        self.assertTrue(engine.store(self.toks, "small"))
        return engine

    def test_copying_a_gibibyte_delays_nobody(self):
        large, small = self.large, self.small_engine()
        toks = tokens(16 * 256)
        small_requests = (
            small.client.noop,
            lambda: small.client.ping(small.instance),
            lambda: small.send_lookup(self.toks, "l"),
            lambda: small.client.wait_prefetch_status("l", float(PATIENCE)),
            lambda: small.client.end_session("l"),
        )
        # A wait behind the store of the same request is answered when its patience ends, not when the store does.
        store = large.send_store(toks, "r")
        impatient = large.client.wait_prefetch_status("r", 0.0)
        self.assertIsNone(wait(impatient), "0 would mean that it came after the store")
        # Nor do others that are content to wait hold up anybody.
        waiters = [large.client.wait_prefetch_status("r", float(PATIENCE)) for _ in range(64)]
        self.assertGreaterEqual(self.rounds_while([store], *small_requests), ROUND_TRIPS)
        self.assertTrue(wait(store)[1])
        self.assertEqual([wait(waiter) for waiter in waiters], [0] * 64)

        self.assertEqual(large.lookup(toks, "r"), 16)
        retrieve = large.send_retrieve(toks, "r")
        self.assertGreaterEqual(self.rounds_while([retrieve], *small_requests), ROUND_TRIPS)
        self.assertTrue(wait(retrieve)[1])
        large.clear(force=True)

    def test_a_store_of_another_worker_is_done_in_the_meantime(self):
        large, small = self.large, self.small_engine()
        store = large.send_store(tokens(16 * 256), "r")
        done = 0
        while not store.query():
            toks = tokens(512)
            self.assertTrue(small.store(toks, unique("s")))
            self.assertEqual(small.lookup(toks, "l"), 2)
            self.assertTrue(small.retrieve(toks, "l"))
            done += 1
        self.assertGreaterEqual(done, 3)
        self.assertTrue(wait(store)[1])
        large.clear(force=True)

    def test_registering_thousands_of_tensors_delays_nobody(self):
        many = Engine(self.connect(), [Group(0, 2000, 16, (None, 16, 1, 8))], 16)
        arguments = (many.wrappers(), many.model, 1, many.engine_type, many.hints, many.infos)
        other = RawPeer(self.server.url, self.context)
        self.addCleanup(other.close)
        running = [many.client.register_kv_cache(many.instance + i, *arguments) for i in range(20)]
        rounds = 0
        while not running[-1].query():
            self.assertEqual(other.call(24), "OK")
            self.assertIs(other.call(22, None), True)
            rounds += 1
        for registration in running:
            self.assertIsNone(wait(registration))
        self.assertGreaterEqual(rounds, ROUND_TRIPS)
        for i in range(20):
            wait(many.client.unregister_kv_cache(many.instance + i))

    def test_hashing_long_prompts_delays_nobody(self):
        small = self.small_engine()
        busy, other = RawPeer(self.server.url, self.context), RawPeer(self.server.url, self.context)
        self.addCleanup(busy.close)
        self.addCleanup(other.close)
        count = 60
        prompt = tuple(range(1 << 20, (1 << 20) + 131072))
        keys = [pack(IPCCacheServerKey(small.model, 1, None, (n, *prompt), 0, len(prompt), f"long {n}", "", None, 1))
                for n in range(count)]
        for n, key in enumerate(keys):
            busy.send(pack(n), pack(8), key, pack(1))
        rounds = answered = 0
        while answered < count:
            self.assertEqual(other.call(24), "OK")
            self.assertIs(other.call(22, None), True)
            rounds += 1
            while answered < count and busy.socket.poll(0):
                busy.socket.recv_multipart()
                answered += 1
        self.assertGreaterEqual(rounds, ROUND_TRIPS)


if __name__ == "__main__":
    unittest.main()
