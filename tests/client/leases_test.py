"""A hit belongs to the request and connection that looked it up: who may use it, how often, and when it is given up."""

import glob
import os
import signal
import subprocess
import sys
import time
import unittest

from kvclient import Engine, dense, tokens, unique
from server import PATIENCE, ServerCase, eventually


class LeaseCase(ServerCase):
    def engine(self, capacity=1024, groups=None, client=None, **more):
        return Engine(client or self.connect(), groups or [dense()], capacity, **more).register()

    def stored(self, engine, count=1024, seed=1):
        toks = tokens(count)
        engine.fill(seed)
        self.assertTrue(engine.store(toks, unique("store")))
        return toks

    def leased(self, engine, toks):
        """How many chunks of a sequence are leased: an unforced clear drops all others."""
        engine.clear()
        return engine.hit(toks)

    def retrieves_as_stored(self, engine, toks, rid, content, **more):
        engine.fill(99)
        before = engine.bytes()
        self.assertTrue(engine.retrieve(toks, rid, **more))
        start, end = more.get("start", 0), more.get("end", engine.whole(toks))
        written = engine.written(engine.blocks(start, end), start, end)
        self.assertEqual(engine.differing(engine.expect(before, content, written)), 0)


class OneEngine(LeaseCase):
    def test_a_retrieve_needs_a_lookup_of_its_own(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertFalse(engine.retrieve(toks, "no lookup"))
        self.assertEqual(engine.lookup(toks, "victim"), 4)
        self.assertFalse(engine.retrieve(toks, "thief"), "another request's lease is not for the taking")
        self.assertTrue(engine.retrieve(toks, "victim"))

    def test_a_range_is_retrieved_once(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        self.assertTrue(engine.retrieve(toks, "r"))
        self.assertFalse(engine.retrieve(toks, "r"))
        self.assertEqual(self.leased(engine, toks), 0)

    def test_a_hit_is_retrieved_in_parts(self):
        engine = self.engine()
        toks = self.stored(engine)
        content = engine.bytes()
        self.assertEqual(engine.lookup(toks, "r"), 4)
        self.retrieves_as_stored(engine, toks, "r", content, start=512, end=1024)
        self.assertFalse(engine.retrieve(toks, "r", start=256, end=768), "half of it is spent")
        self.retrieves_as_stored(engine, toks, "r", content, start=0, end=512)

    def test_nothing_beyond_the_hit_is_retrieved(self):
        engine = self.engine()
        toks = self.stored(engine, 512) + tokens(512)
        self.assertEqual(engine.lookup(toks, "r"), 2)
        engine.fill(5)
        before = engine.bytes()
        self.assertFalse(engine.retrieve(toks, "r"))
        self.assertEqual(engine.differing(before), 0, "a refused retrieve wrote")
        self.assertTrue(engine.retrieve(toks, "r", end=512))

    def test_freeing_a_range(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        engine.free(toks, "r", 512, 1024)
        self.assertFalse(engine.retrieve(toks, "r"))
        self.assertFalse(engine.retrieve(toks, "r", 512, 1024))
        self.assertEqual(self.leased(engine, toks), 2)
        self.assertTrue(engine.retrieve(toks, "r", 0, 512))
        self.assertEqual(self.leased(engine, toks), 0)

    def test_freeing_nothing_changes_nothing(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        engine.free(toks, "r", 512, 512)
        engine.free(toks, "r", 1024, 0)
        engine.free(toks, "other")
        engine.free(tokens(1024), "r")  # not what was looked up
        self.assertTrue(engine.retrieve(toks, "r"))

    def test_freeing_twice_takes_nobody_elses_lease(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "keeps"), 4)
        self.assertEqual(engine.lookup(toks, "frees"), 4)
        for _ in range(3):
            engine.free(toks, "frees")
        self.assertEqual(self.leased(engine, toks), 4)
        self.assertTrue(engine.retrieve(toks, "keeps"))
        engine.free(toks, "keeps")
        self.assertEqual(self.leased(engine, toks), 0)

    def test_freeing_after_a_retrieve_takes_nobody_elses_lease(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "keeps"), 4)
        self.assertEqual(engine.lookup(toks, "done"), 4)
        self.assertTrue(engine.retrieve(toks, "done"))
        engine.free(toks, "done")
        engine.end("done")
        self.assertEqual(self.leased(engine, toks), 4)
        self.assertTrue(engine.retrieve(toks, "keeps"))

    def test_freeing_collects_the_result(self):
        engine = self.engine()
        toks = self.stored(engine)
        engine.send_lookup(toks, "r").result(timeout=PATIENCE)
        engine.free(toks, "r")
        self.assertEqual(engine.client.query_prefetch_status("r").result(timeout=PATIENCE), 0)

    def test_the_end_of_a_session_releases(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        engine.end("r")
        self.assertFalse(engine.retrieve(toks, "r"))
        self.assertEqual(self.leased(engine, toks), 0)

    def test_a_lookup_nobody_polled_goes_with_its_session(self):
        engine = self.engine()
        toks = self.stored(engine)
        engine.send_lookup(toks, "r").result(timeout=PATIENCE)
        self.assertEqual(self.leased(engine, toks), 4)
        engine.end("r")
        self.assertEqual(self.leased(engine, toks), 0)

    def test_a_new_lookup_replaces_the_old_one(self):
        engine = self.engine()
        first, second = self.stored(engine), self.stored(engine)
        self.assertEqual(engine.lookup(first, "r"), 4)
        self.assertEqual(engine.lookup(second, "r"), 4)
        self.assertFalse(engine.retrieve(first, "r"))
        self.assertEqual(self.leased(engine, first), 0)
        self.assertTrue(engine.retrieve(second, "r"))

    def test_a_failed_retrieve_spends_its_lease(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        self.assertFalse(engine.retrieve(toks, "r", blocks=[[1]]))
        self.assertEqual(self.leased(engine, toks), 0)

    def test_an_unforced_clear_keeps_what_is_leased(self):
        engine = self.engine()
        toks, other = self.stored(engine), self.stored(engine)
        content = engine.bytes()
        self.assertEqual(engine.lookup(other, "r"), 4)
        engine.clear()
        self.assertEqual(engine.hit(toks), 0)
        self.retrieves_as_stored(engine, other, "r", content)

    def test_a_forced_clear_takes_it_from_lookups_but_not_from_its_reader(self):
        engine = self.engine()
        toks = self.stored(engine)
        content = engine.bytes()
        self.assertEqual(engine.lookup(toks, "r"), 4)
        engine.clear(force=True)
        self.assertEqual(engine.hit(toks), 0)
        filler = self.stored(engine, seed=77)  # would take the memory, were it free
        self.retrieves_as_stored(engine, toks, "r", content)
        self.assertEqual(engine.hit(filler), 4)
        self.assertEqual(engine.hit(toks), 0)

    def test_a_request_id_used_again_with_other_tokens(self):
        """The id says nothing of the content: what is stored under one sequence is never delivered for another."""
        engine = self.engine()
        first, second = tokens(1024), tokens(1024)
        engine.fill(1)
        content = engine.bytes()
        self.assertTrue(engine.store(first, "r"))
        self.assertEqual(engine.lookup(first, "r"), 4)
        self.assertEqual(engine.hit(second), 0)
        self.assertFalse(engine.retrieve(second, "r"), "the lookup was of other tokens")
        engine.fill(2)
        other = engine.bytes()
        self.assertTrue(engine.store(second, "r"))
        self.assertEqual(engine.lookup(second, "r"), 4)
        self.retrieves_as_stored(engine, second, "r", other)
        self.assertEqual(engine.lookup(first, "r"), 4)
        self.retrieves_as_stored(engine, first, "r", content)
        third = first[:512] + tokens(512)
        self.assertEqual(engine.lookup(third, "r"), 2)
        self.retrieves_as_stored(engine, third, "r", content, end=512)


class SeveralConnections(LeaseCase):
    def test_eight_readers_of_one_lookup(self):
        scheduler = self.engine(readers=8)
        toks = self.stored(scheduler)
        content = scheduler.bytes()
        readers = [self.engine(model=scheduler.model, readers=8) for _ in range(8)]
        self.assertEqual(scheduler.lookup(toks, "r"), 4)
        for reader in readers[:7]:
            self.assertTrue(reader.retrieve(toks, "r"))
            self.assertFalse(reader.retrieve(toks, "r"), "each reads once")
        self.assertEqual(self.leased(scheduler, toks), 4)
        self.retrieves_as_stored(readers[7], toks, "r", content)
        self.assertFalse(self.engine(model=scheduler.model, readers=8).retrieve(toks, "r"), "a ninth")
        self.assertEqual(self.leased(scheduler, toks), 0)

    def test_readers_freed_by_one_call(self):
        scheduler = self.engine(readers=8)
        toks = self.stored(scheduler)
        self.assertEqual(scheduler.lookup(toks, "r"), 4)
        self.assertTrue(self.engine(model=scheduler.model, readers=8).retrieve(toks, "r"))
        scheduler.free(toks, "r")
        self.assertFalse(self.engine(model=scheduler.model, readers=8).retrieve(toks, "r"))
        self.assertEqual(self.leased(scheduler, toks), 0)

    def test_every_rank_has_its_own_share(self):
        model = unique("model")
        ranks = [self.engine(model=model, world_size=2, worker_id=rank) for rank in range(2)]
        toks, content = tokens(1024), []
        for rank, engine in enumerate(ranks):
            engine.fill(10 + rank)
            content.append(engine.bytes())
            self.assertEqual(engine.hit(toks), 0, "a hit needs every rank")
            self.assertTrue(engine.store(toks, "s", end=1024 if rank == 0 else 512))
        self.assertEqual(ranks[0].lookup(toks, "r"), 2)
        for rank, engine in enumerate(ranks):
            self.retrieves_as_stored(engine, toks, "r", content[rank], end=512)
            self.assertFalse(engine.retrieve(toks, "r", end=512))

    def test_two_engines_use_one_request_id_for_different_tokens(self):
        one = self.engine()
        other = self.engine(model=one.model, seed=3)
        mine = self.stored(one, seed=1)
        content_of_mine = one.bytes()
        theirs = self.stored(other, seed=2)
        content_of_theirs = other.bytes()
        self.assertEqual(one.lookup(mine, "r"), 4)
        self.assertEqual(other.lookup(theirs, "r"), 4)
        other.end("r")
        self.assertFalse(other.retrieve(theirs, "r"), "its own session has ended")
        self.retrieves_as_stored(one, mine, "r", content_of_mine)
        self.assertEqual(other.lookup(theirs, "r"), 4)
        self.retrieves_as_stored(other, theirs, "r", content_of_theirs)

    def test_two_engines_use_one_request_id_for_the_same_tokens(self):
        one = self.engine()
        other = self.engine(model=one.model, seed=3)
        toks = self.stored(one)
        self.assertEqual(one.lookup(toks, "r"), 4)
        self.assertEqual(other.lookup(toks, "r"), 4)
        self.assertTrue(one.retrieve(toks, "r"))
        one.end("r")
        self.assertEqual(self.leased(one, toks), 4, "the other engine's lease lives on")
        self.assertTrue(other.retrieve(toks, "r"))
        self.assertFalse(other.retrieve(toks, "r"))
        self.assertEqual(self.leased(one, toks), 0)

    def test_models_and_salts_do_not_mix(self):
        one = self.engine(salt="alice")
        toks = self.stored(one)
        self.assertEqual(one.hit(toks), 4)
        self.assertEqual(self.engine(model=one.model, salt="bob").hit(toks), 0)
        self.assertEqual(self.engine(model=one.model, world_size=2).hit(toks), 0)
        self.assertEqual(self.engine(salt="alice").hit(toks), 0)


class Geometry(LeaseCase):
    def test_workers_of_one_name_and_different_geometry_never_exchange_a_byte(self):
        import torch

        variants = [  # all of the same size per chunk
            [dense(2, 16, 2, 64, torch.bfloat16)],
            [dense(2, 16, 2, 64, torch.float16)],
            [dense(2, 16, 4, 32, torch.bfloat16)],
            [dense(1, 16, 4, 64, torch.bfloat16)],
            [dense(2, 16, 2, 64, torch.bfloat16, window=512)],
        ]
        model, toks, contents = unique("model"), tokens(1024), []
        engines = [self.engine(groups=groups, model=model) for groups in variants]
        for number, engine in enumerate(engines):
            # All hits so far are of other geometries: none may deliver.
            rid = unique("request")
            engine.lookup(toks, rid)
            engine.fill(50)
            before = engine.bytes()
            self.assertFalse(engine.retrieve(toks, rid))
            self.assertEqual(engine.differing(before), 0, "bytes of another geometry were delivered")
            engine.end(rid)
            engine.fill(number)
            contents.append(engine.bytes())
            self.assertTrue(engine.store(toks, unique("store")))
        for engine, content in zip(engines, contents):
            rid = unique("request")
            self.assertEqual(engine.lookup(toks, rid), 4)
            self.retrieves_as_stored(engine, toks, rid, content)
            engine.end(rid)


HOLDER = """
import sys, zmq
sys.path.insert(0, {here!r})
from kvclient import Engine, connect, dense, tokens
client = connect({url!r}, zmq.Context())
engine = Engine(client, [dense()], 1024, model={model!r}).register()
toks = tokens(1024, seed=1)
engine.fill(1)
assert engine.store(toks, "s")
assert engine.lookup(toks, "r") == 4
print(engine.wrappers()[0].shm_name, engine.instance, flush=True)
sys.stdin.readline()
"""


class LostClients(LeaseCase):
    """Pings every 0.2 s find a silent peer within 0.6 s."""

    flags = ("--heartbeat-interval-seconds", "0.2", "--heartbeat-timeout-seconds", "0.6")

    def holder(self, model):
        """An engine in a process of its own that holds a lease; returns (process, name of a segment, instance)."""
        code = HOLDER.format(here=os.path.dirname(os.path.abspath(__file__)), url=self.server.url, model=model)
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)

        def discard():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
            for segment in glob.glob(f"/dev/shm/lmcache_kv_{process.pid}_*"):  # nobody else will
                os.unlink(segment)

        self.addCleanup(discard)
        line = process.stdout.readline()
        self.assertTrue(line, "the other engine failed")
        name, instance = line.split()
        return process, name, int(instance)

    def check_gone(self, engine, name, instance):
        toks = tokens(1024, seed=1)
        eventually(lambda: self.leased(engine, toks) == 0, "the lost client's leases are released")
        eventually(lambda: not self.server.mapped(name), "the lost client's memory is unmapped")
        self.assertIs(engine.client.ping(instance).result(timeout=PATIENCE), False, "the lost client's worker is still known")

    def test_killed(self):
        engine = self.engine()
        process, name, instance = self.holder(engine.model)
        self.assertEqual(self.leased(engine, tokens(1024, seed=1)), 4)
        self.assertTrue(self.server.mapped(name))
        process.send_signal(signal.SIGKILL)
        self.check_gone(engine, name, instance)

    def test_silent(self):
        engine = self.engine()
        process, name, instance = self.holder(engine.model)
        process.send_signal(signal.SIGSTOP)
        self.check_gone(engine, name, instance)

    def test_an_idle_client_that_answers_heartbeats_is_kept(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        process, name, instance = self.holder(unique("model"))
        process.send_signal(signal.SIGSTOP)  # its end shows that more time has passed than a silent peer is given
        eventually(lambda: not self.server.mapped(name), "the silent client is dropped")
        self.assertTrue(engine.retrieve(toks, "r"))
        self.assertNotIn(f"worker gone with its connection instance={engine.instance}", self.server.log())


    def test_a_stall_of_the_server_is_not_its_clients_silence(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        self.server.process.send_signal(signal.SIGSTOP)
        time.sleep(1.2)  # longer than a client may be silent
        self.server.process.send_signal(signal.SIGCONT)
        self.assertTrue(engine.retrieve(toks, "r"))
        self.assertNotIn(f"worker gone with its connection instance={engine.instance}", self.server.log())


class LeaseTime(LeaseCase):
    flags = ("--l1-read-ttl-seconds", "1")

    def test_an_unused_lease_lapses(self):
        engine = self.engine()
        toks = self.stored(engine)
        self.assertEqual(engine.lookup(toks, "r"), 4)
        other = self.engine()  # clears through another connection, and never touches the lease
        eventually(lambda: (other.clear(), engine.hit(toks))[1] == 0, "the lease lapses")
        self.assertFalse(engine.retrieve(toks, "r"))


if __name__ == "__main__":
    unittest.main()
