"""Requests of one connection that touch the same worker or the same request keep their order, though nobody waits between them."""

import unittest

from kvclient import Engine, dense, tokens, unique
from server import PATIENCE, ServerCase


def wait(future):
    return future.result(timeout=PATIENCE)


class Ordering(ServerCase):
    l1_gb = "0.5"

    def engine(self, capacity=1024, groups=None, **more):
        return Engine(self.connect(), groups or [dense()], capacity, **more)

    def test_a_store_sent_before_unregister_is_executed_before_it(self):
        engine = self.engine(2048).register()
        witness = self.engine(2048, model=engine.model).register()
        for round_ in range(50):
            toks = tokens(2048)
            store = engine.send_store(toks, unique("r"))
            unregister = engine.client.unregister_kv_cache(engine.instance)
            register = engine.client.register_kv_cache(engine.instance, engine.wrappers(), engine.model, 1, engine.engine_type,
                                                       engine.hints, engine.infos)
            self.assertTrue(wait(store)[1], f"round {round_}")
            self.assertIsNone(wait(unregister))
            self.assertIsNone(wait(register))
            self.assertEqual(witness.hit(toks), 8)

    def test_a_retrieve_sent_before_unregister_is_executed_before_it(self):
        engine = self.engine(2048)
        toks = tokens(2048)
        for round_ in range(50):
            register = engine.client.register_kv_cache(engine.instance, engine.wrappers(), engine.model, 1, engine.engine_type,
                                                       engine.hints, engine.infos)
            store = engine.send_store(toks, "r")
            lookup = engine.send_lookup(toks, "r")
            retrieve = engine.send_retrieve(toks, "r")
            unregister = engine.client.unregister_kv_cache(engine.instance)
            self.assertIsNone(wait(register))
            self.assertTrue(wait(store)[1])
            self.assertIsNone(wait(lookup))
            self.assertTrue(wait(retrieve)[1], f"round {round_}")
            self.assertIsNone(wait(unregister))

    def test_a_lookup_sees_what_was_stored_before_it_by_a_worker_registered_while_it_waited(self):
        """store follows register (same worker), lookup follows store (same request): when it runs, the worker is known."""
        first = self.engine(16384, [dense(8)]).register()
        second = self.engine(1024)
        second.client, second.instance = first.client, first.instance
        busy = first.send_store(tokens(16384), "busy")  # the worker's next requests wait for it
        register = second.client.register_kv_cache(second.instance, second.wrappers(), second.model, 1, second.engine_type,
                                                   second.hints, second.infos)
        toks = tokens(1024)
        store, lookup = second.send_store(toks, "r"), second.send_lookup(toks, "r")
        found = second.client.wait_prefetch_status("r", float(PATIENCE))
        self.assertTrue(wait(busy)[1])
        self.assertIsNone(wait(register))
        self.assertTrue(wait(store)[1])
        self.assertIsNone(wait(lookup))
        self.assertEqual(wait(found), 4)

    def test_a_whole_request_without_waiting(self):
        engine = self.engine().register()
        toks = tokens(1024)
        for round_ in range(20):
            rid = unique("r")
            replies = [
                engine.send_lookup(toks, rid), engine.client.wait_prefetch_status(rid, float(PATIENCE)),
                engine.send_store(toks, rid),
                engine.send_lookup(toks, rid), engine.client.wait_prefetch_status(rid, float(PATIENCE)),
                engine.send_free(toks, rid, 768, 1024),
                engine.send_retrieve(toks, rid, 0, 768),
                engine.send_retrieve(toks, rid, 0, 768),
                engine.client.end_session(rid),
                engine.client.query_prefetch_status(rid),
            ]
            results = [wait(reply) for reply in replies]
            self.assertEqual(results[1], 4 if round_ else 0)
            self.assertTrue(results[2][1])
            self.assertEqual(results[4], 4)
            self.assertTrue(results[6][1])
            self.assertFalse(results[7][1])
            self.assertEqual(results[9], 0)

    def test_free_then_end_session_releases_everything_and_a_retrieve_before_them_succeeds(self):
        engine = self.engine().register()
        toks = tokens(1024)
        self.assertTrue(engine.store(toks, "s"))
        for _ in range(50):
            rid = unique("r")
            replies = [engine.send_lookup(toks, rid), engine.send_free(toks, rid, 512, 1024),
                       engine.send_retrieve(toks, rid, 0, 512), engine.client.end_session(rid)]
            self.assertTrue([wait(reply) for reply in replies][2][1])
        engine.clear()
        self.assertEqual(engine.hit(toks), 0, "a lease was left behind")

    def test_a_store_is_visible_to_everybody_when_its_reply_arrives(self):
        engine = self.engine(512).register()
        other = self.engine(512, model=engine.model).register()
        for _ in range(100):
            toks = tokens(512)
            self.assertTrue(engine.store(toks, unique("s")))
            self.assertEqual(other.hit(toks), 2)

    def test_sixty_four_requests_in_flight(self):
        engine = self.engine(1024).register()
        work = [(unique("r"), tokens(512)) for _ in range(64)]
        stores = [engine.send_store(toks, rid) for rid, toks in work]
        self.assertTrue(all(wait(store)[1] for store in stores))
        futures = []
        for rid, toks in work:
            futures.append((engine.send_lookup(toks, rid), engine.client.wait_prefetch_status(rid, float(PATIENCE)),
                            engine.send_retrieve(toks, rid), engine.client.noop(), engine.client.end_session(rid)))
        for lookup, found, retrieve, noop, end in futures:
            self.assertIsNone(wait(lookup))
            self.assertEqual(wait(found), 2)
            self.assertTrue(wait(retrieve)[1])
            self.assertEqual(wait(noop), "OK")
            self.assertIsNone(wait(end))

    def test_stores_in_steps_without_waiting(self):
        engine = self.engine(4096).register()
        toks = tokens(4096)
        stores = [engine.send_store(toks[:end], "r", end - 256, end) for end in range(256, 4097, 256)]
        self.assertTrue(all(wait(store)[1] for store in stores))
        self.assertEqual(engine.hit(toks), 16)


if __name__ == "__main__":
    unittest.main()
