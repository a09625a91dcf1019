"""The package's scheduler and worker adapters, called as vLLM's LMCacheMPConnector calls them. That connector itself needs vLLM;
what it does per request is written out in `Deployment`."""

import signal
import unittest

import torch
import zmq
from kvclient import Group, tokens, unique
from lmcache.integration.vllm.vllm_multi_process_adapter import (
    LMCacheMPSchedulerAdapter,
    LMCacheMPWorkerAdapter,
    LoadStoreOp,
    ParallelStrategy,
)
from lmcache.v1.multiprocess.group_view import EngineGroupInfo
from server import Server, ServerCase, eventually

BLOCK = 16
CHUNK = 256
CONFIG = {
    "lmcache.mp.mq_timeout": 60.0,
    "lmcache.mp.heartbeat_interval": 0.1,
    "lmcache.mp.mp_transfer_mode": "lmcache_driven",
}


class Worker:
    """One rank: its tensors and its adapter."""

    def __init__(self, url, context, model, strategy, groups, blocks):
        self.adapter = LMCacheMPWorkerAdapter(url, context, model, BLOCK, strategy, extra_config=CONFIG)
        self.caches, infos = {}, []
        for g in groups:
            first = len(self.caches)
            for _ in range(g.layers):
                shape = [blocks if n is None else n for n in g.shape]
                self.caches[f"layer.{len(self.caches)}"] = torch.zeros(shape, dtype=g.dtype)
            infos.append(EngineGroupInfo(g.engine_group, tuple(range(first, len(self.caches))), g.tokens_per_block, g.window))
        self.adapter.register_kv_caches(self.caches, infos, {"kv_layout": "NHD"})

    def fill(self, seed):
        generator = torch.Generator().manual_seed(seed)
        for t in self.caches.values():
            t.view(torch.int16).random_(generator=generator)

    def pages(self, ids):
        return [t.view(torch.int16)[ids].clone() for t in self.caches.values()]

    def finished(self, ended=()):
        stores, retrieves = self.adapter.get_finished(set(ended))
        return stores or set(), retrieves or set()


class Deployment:
    """A scheduler and its workers. The steps of a request follow the connector: lookup, poll, retrieve, store in steps, end."""

    def __init__(self, url, world_size=1, mla=False, groups=None, blocks=200):
        self.model = unique("model")
        # Latents of MLA are the same on every rank; other workers have heads of their own.
        self.groups = groups or [Group(0, 2, BLOCK, (None, BLOCK, 64) if mla else (None, 2, BLOCK, 2, 32))]
        strategies = [ParallelStrategy(mla, world_size, rank, world_size, 1, 1) for rank in range(world_size)]
        self.contexts = [zmq.Context() for _ in range(world_size + 1)]  # they are processes, outside tests
        self.workers = [Worker(url, context, self.model, strategy, self.groups, blocks)
                        for context, strategy in zip(self.contexts, strategies)]
        self.scheduler = LMCacheMPSchedulerAdapter([url], self.contexts[-1], self.model, BLOCK, strategies[0], extra_config=CONFIG)

    def shutdown(self):
        """While the daemon is there: the adapters wait for its answers."""
        for worker in self.workers:
            worker.adapter.shutdown()
        self.workers = []
        if self.scheduler is not None:
            self.scheduler.shutdown()
        self.scheduler = None
        for context in self.contexts:
            context.destroy(0)

    def lookup(self, rid, toks, **more):
        """Hit in tokens, polled once per scheduler step."""
        self.scheduler.maybe_submit_lookup_request(rid, toks, **more)
        return self.poll(rid)

    def poll(self, rid):
        box = []

        def polled():
            found = self.scheduler.check_lookup_result(rid)
            if found is not None:
                box.append(found)
            return bool(box)

        eventually(polled, "the lookup's result")
        return box[0]

    def op(self, toks, ids, start, end, skip=0):
        groups = 1 + max(g.engine_group for g in self.groups)
        part = ids[start // BLOCK:end // BLOCK]
        return LoadStoreOp(list(toks), [part] * groups, start, end, skip)

    def store(self, rid, toks, ids, start, end):
        for worker in self.workers:
            event = worker.adapter.create_recorded_event()
            worker.adapter.batched_submit_store_requests([rid], [self.op(toks, ids, start, end)], event)

    def stored(self, rid):
        for worker in self.workers:
            eventually(lambda w=worker: (w.finished(), rid not in w.adapter.store_futures)[1], "the store's end")

    def retrieve(self, rid, toks, ids, start, end, skip=0):
        for worker in self.workers:
            event = worker.adapter.create_recorded_event()
            worker.adapter.batched_submit_retrieve_requests([rid], [self.op(toks, ids, start, end, skip)], event)

    def retrieved(self, rid):
        """Request ids that any worker reports as failed."""
        failed = set()
        for worker in self.workers:
            done = set()
            eventually(lambda w=worker: done.update(w.finished()[1]) or rid in done, "the retrieve's end")
            failed |= worker.adapter.get_failed_request_ids()
        return failed

    def end(self, rid):
        """The engine has finished the request: each worker reports it once, then the scheduler forgets it."""
        for worker in self.workers:
            done = set(worker.finished([rid])[0])
            eventually(lambda w=worker: done.update(w.finished()[0]) or rid in done, "the end of the request's stores")
        self.scheduler.end_session(rid)
        self.scheduler.cleanup_lookup_result(rid)


class Adapters(ServerCase):
    def deploy(self, **more):
        deployment = Deployment(self.server.url, **more)
        self.addCleanup(deployment.shutdown)
        return deployment

    def fill(self, deployment, mla, seed):
        for rank, worker in enumerate(deployment.workers):
            worker.fill(seed if mla else seed + rank)

    def whole_request(self, deployment, mla=False):
        toks, ids, other = tokens(1300), list(range(1, 82)), list(range(100, 181))
        self.assertEqual(deployment.lookup("first", toks), 0)
        self.fill(deployment, mla, 10)
        content = [worker.pages(ids[:80]) for worker in deployment.workers]
        for start, end in ((0, 512), (512, 768), (768, 1280)):  # as prefill advances
            deployment.store("first", toks[:end], ids, start, end)
            deployment.stored("first")
        deployment.end("first")

        self.assertEqual(deployment.lookup("second", toks), 1280)
        # The engine has the first 256 tokens itself: it frees those chunks, and skips blocks it shares.
        deployment.scheduler.free_lookup_locks(toks, 0, 256, "second")
        self.fill(deployment, mla, 50)
        before = [worker.pages(other[:80]) for worker in deployment.workers]
        deployment.retrieve("second", toks, other, 256, 1280, skip=64)
        self.assertEqual(deployment.retrieved("second"), set())
        for worker, old, stored in zip(deployment.workers, before, content):
            for page, untouched, expected in zip(worker.pages(other[:80]), old, stored):
                self.assertTrue(torch.equal(page[:20], untouched[:20]))
                self.assertTrue(torch.equal(page[20:], expected[20:]))
        deployment.end("second")

        # Nothing is left leased: an unforced clear leaves nothing to hit.
        self.assertTrue(deployment.scheduler.reset_cache())
        self.assertEqual(deployment.lookup("third", toks), 0)
        deployment.end("third")

    def test_one_worker(self):
        self.whole_request(self.deploy())

    def test_tensor_parallel_eight(self):
        self.whole_request(self.deploy(world_size=8))

    def test_latent_attention_on_eight_ranks_is_stored_once_and_read_by_all(self):
        self.whole_request(self.deploy(world_size=8, mla=True), mla=True)

    def test_hybrid_windows(self):
        groups = [Group(0, 2, BLOCK, (None, 2, BLOCK, 2, 32)), Group(1, 2, BLOCK, (None, 2, BLOCK, 2, 32), window=4096)]
        self.whole_request(self.deploy(groups=groups))

    def test_a_lookup_that_keeps_the_last_token_back(self):
        deployment = self.deploy()
        toks, ids = tokens(512), list(range(1, 33))
        deployment.store("r", toks, ids, 0, 512)
        deployment.stored("r")
        self.assertEqual(deployment.lookup("r", toks, reserve_last_token=True), 256)
        deployment.end("r")

    def test_salts_keep_users_apart(self):
        deployment = self.deploy()
        toks, ids = tokens(512), list(range(1, 33))
        deployment.store("r", toks, ids, 0, 512)
        deployment.stored("r")
        self.assertEqual(deployment.lookup("a", toks, cache_salt="alice"), 0)
        self.assertEqual(deployment.lookup("b", toks), 512)
        deployment.end("a")
        deployment.end("b")

    def test_a_request_aborted_between_lookup_and_retrieve_leaves_nothing_leased(self):
        deployment = self.deploy()
        toks, ids = tokens(512), list(range(1, 33))
        deployment.store("r", toks, ids, 0, 512)
        deployment.stored("r")
        deployment.scheduler.maybe_submit_lookup_request("polled", toks)
        self.assertEqual(deployment.poll("polled"), 512)
        deployment.scheduler.free_lookup_locks(toks, 0, 512, "polled")
        deployment.end("polled")
        deployment.scheduler.maybe_submit_lookup_request("never polled", toks)
        deployment.end("never polled")
        self.assertTrue(deployment.scheduler.reset_cache())
        self.assertEqual(deployment.lookup("after", toks), 0)
        deployment.end("after")

    def test_preemption_waits_for_the_stores_in_flight(self):
        deployment = self.deploy(blocks=2000)
        worker = deployment.workers[0]
        toks, ids = tokens(CHUNK * 100), list(range(1, 1601))
        worker.fill(1)
        content = worker.pages(ids)
        deployment.store("r", toks, ids, 0, len(toks))
        worker.adapter.handle_preemptions(True)
        worker.fill(2)  # the engine gives the blocks to somebody else
        deployment.stored("r")
        self.assertEqual(deployment.lookup("r", toks), len(toks))
        deployment.retrieve("r", toks, ids, 0, len(toks))
        self.assertEqual(deployment.retrieved("r"), set())
        for page, expected in zip(worker.pages(ids), content):
            self.assertTrue(torch.equal(page, expected))
        # The request comes back: looked up anew under its id.
        deployment.scheduler.end_session("r")
        deployment.scheduler.cleanup_lookup_result("r")
        self.assertEqual(deployment.lookup("r", toks), len(toks))
        deployment.end("r")

    def test_a_failed_retrieve_reaches_the_engine_as_such(self):
        deployment = self.deploy()
        toks, ids = tokens(512), list(range(1, 33))
        deployment.retrieve("r", toks, ids, 0, 512)
        self.assertEqual(deployment.retrieved("r"), {"r"})
        deployment.end("r")

    def test_a_model_mismatch_stops_the_engine_at_start(self):
        deployment = self.deploy()
        worker = deployment.workers[0]
        with self.assertRaisesRegex(ValueError, "register_kv_cache: "):
            worker.adapter.register_kv_caches(worker.caches, [EngineGroupInfo(0, (0,), BLOCK), EngineGroupInfo(0, (1,), BLOCK)],
                                              {"kv_layout": "NHD"})

    def test_block_allocation_reports_are_answered(self):
        from lmcache.v1.multiprocess.custom_types import BlockAllocationRecord

        deployment = self.deploy()
        deployment.scheduler.report_block_allocations([BlockAllocationRecord("r", [1, 2, 3], tokens(48))])
        client = deployment.scheduler.req_clients[self.server.url]._message_queue_client
        eventually(lambda: not client.pending_futures, "the report's answer")


class Restart(unittest.TestCase):
    """The daemon goes and comes back under an engine, which must find out, register again and go on."""

    def setUp(self):
        self.server = Server(["--l1-size-gb", "0.25"])
        self.addCleanup(lambda: self.server.discard())
        self.deployment = Deployment(self.server.url, world_size=2)
        self.addCleanup(self.deployment.shutdown)

    def again(self):
        """Another daemon in the place of the one that has ended."""
        port = self.server.port
        self.server.discard()
        self.server = Server(["--l1-size-gb", "0.25"], port=port)

    def use(self, rid):
        """Stores and retrieves; every byte must be there."""
        toks, ids = tokens(1024), list(range(1, 65))
        for rank, worker in enumerate(self.deployment.workers):
            worker.fill(rank)
        content = [worker.pages(ids) for worker in self.deployment.workers]
        self.deployment.store(rid, toks, ids, 0, 1024)
        self.deployment.stored(rid)
        self.assertEqual(self.deployment.lookup(rid, toks), 1024)
        for worker in self.deployment.workers:
            worker.fill(9)
        self.deployment.retrieve(rid, toks, ids, 0, 1024)
        self.assertEqual(self.deployment.retrieved(rid), set())
        for worker, pages in zip(self.deployment.workers, content):
            self.assertTrue(all(map(torch.equal, worker.pages(ids), pages)))
        self.deployment.end(rid)

    def healthy(self):
        return self.deployment.scheduler.is_healthy and all(w.adapter.is_healthy for w in self.deployment.workers)

    def registrations(self):
        return self.server.log().count("worker registered")

    def check_server(self):
        self.deployment.shutdown()
        self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("cause=internal", self.server.log())

    def test_killed_and_noticed_while_away(self):
        self.use("a")
        self.assertEqual(self.server.stop(signal.SIGKILL), -signal.SIGKILL)
        eventually(lambda: not any(w.adapter.is_healthy for w in self.deployment.workers)
                   and not self.deployment.scheduler.is_healthy, "the workers notice")
        self.assertEqual(self.deployment.lookup("away", tokens(512)), 0)  # an engine without a cache goes on
        self.again()
        eventually(self.healthy, "the workers recover")
        self.assertEqual(self.registrations(), 2)
        self.use("b")
        self.check_server()

    def test_restarted_between_two_heartbeats(self):
        """Nobody missed a ping: only the answer to the next one tells a worker that it is not known any more."""
        self.use("a")
        # Heartbeats are held back so that the workers see nothing of the restart.
        originals = [w.adapter._heartbeat._execute for w in self.deployment.workers]
        from lmcache.v1.periodic_thread import ThreadRunSummary

        for worker in self.deployment.workers:
            worker.adapter._heartbeat._execute = lambda: ThreadRunSummary(success=True, message="held back")
        self.assertEqual(self.server.stop(), 0)
        self.again()
        for worker, execute in zip(self.deployment.workers, originals):
            worker.adapter._heartbeat._execute = execute
        eventually(lambda: self.registrations() == 2, "the workers register again")
        eventually(self.healthy, "the workers recover")
        self.use("b")
        self.check_server()

    def test_a_heartbeat_keeps_a_registered_worker_healthy(self):
        self.use("a")
        pings = []
        heartbeat = self.deployment.workers[0].adapter._heartbeat
        execute = heartbeat._execute

        def counted():
            summary = execute()
            pings.append(summary.message)
            return summary

        heartbeat._execute = counted
        eventually(lambda: len(pings) >= 5, "five heartbeats")
        self.assertEqual(set(pings), {"healthy"})
        self.assertEqual(self.registrations(), 2, "a healthy worker has no reason to register again")
        self.check_server()


if __name__ == "__main__":
    unittest.main()
