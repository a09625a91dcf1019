"""What happens when memory is short, or not there any more. The pool of most cases has room for exactly 40 chunks."""

import os
import unittest

from kvclient import Engine, Group, deepseek_v4, dense, tokens, unique
from server import ServerCase, eventually

CHUNK_BYTES = 256 * 1024  # of dense()
ROOM = 40


class MemoryCase(ServerCase):
    l1_gb = repr(ROOM * CHUNK_BYTES / 2**30)

    def engine(self, groups=None, capacity=256 * 64, **more):
        engine = Engine(self.connect(), groups or [dense()], capacity, **more)
        self.addCleanup(engine.close)
        self.addCleanup(engine.client.clear, True)
        return engine.register()

    def store_singles(self, engine, count):
        """Stores sequences of one chunk each; every one must succeed and be there at once."""
        out = []
        for _ in range(count):
            toks = tokens(256)
            self.assertTrue(engine.store(toks, unique("store")))
            self.assertEqual(engine.hit(toks), 1, "a store answered true is there")
            out.append(toks)
        return out


class Lru(MemoryCase):
    flags = ("--eviction-policy", "LRU", "--eviction-trigger-watermark", "1")  # only a need of memory evicts

    def test_a_store_larger_than_the_pool_stores_nothing_and_hurts_nothing(self):
        engine = self.engine()
        kept = tokens(256)
        self.assertTrue(engine.store(kept, "kept"))
        toks = tokens(60 * 256)
        self.assertFalse(engine.store(toks, "r"))
        self.assertEqual(engine.hit(toks), 0)
        self.assertEqual(engine.hit(kept), 1, "evicted for a store that could never fit")
        self.assertTrue(engine.store(toks, "r", end=ROOM * 256))
        self.assertEqual(engine.hit(toks), ROOM)

    def test_the_least_recently_used_goes_first(self):
        engine = self.engine()
        all_of_them = self.store_singles(engine, 60)
        self.assertEqual([engine.hit(toks) for toks in all_of_them], [0] * (60 - ROOM) + [1] * ROOM)

    def test_a_lookup_counts_as_a_use(self):
        engine = self.engine()
        first, *others = self.store_singles(engine, ROOM)
        self.assertEqual(engine.hit(first), 1)
        self.store_singles(engine, ROOM - 1)
        self.assertEqual(engine.hit(first), 1)
        self.assertEqual([engine.hit(toks) for toks in others], [0] * (ROOM - 1))

    def test_what_is_leased_stays_whatever_comes(self):
        engine = self.engine()
        toks = tokens(10 * 256)
        engine.fill(1)
        content = engine.bytes()
        self.assertTrue(engine.store(toks, "leased"))
        self.assertEqual(engine.lookup(toks, "leased"), 10)
        engine.fill(2)
        self.store_singles(engine, 90)
        before = engine.bytes()
        self.assertTrue(engine.retrieve(toks, "leased"))
        written = engine.written(engine.blocks(0, 2560), 0, 2560)
        self.assertEqual(engine.differing(engine.expect(before, content, written)), 0)

    def test_with_everything_leased_a_store_fails_until_something_is_released(self):
        engine = self.engine()
        toks = tokens(ROOM * 256)
        self.assertTrue(engine.store(toks, "leased"))
        self.assertEqual(engine.lookup(toks, "leased"), ROOM)
        other = tokens(256)
        self.assertFalse(engine.store(other, "other"))
        self.assertEqual(engine.hit(other), 0)
        engine.free(toks, "leased", (ROOM - 1) * 256, ROOM * 256)
        self.assertTrue(engine.store(other, "other"))
        self.assertEqual(engine.hit(other), 1)
        self.assertTrue(engine.retrieve(toks, "leased", end=(ROOM - 1) * 256))

    def test_windowed_objects_thin_out_and_the_ends_stay(self):
        """A window of one chunk makes every single chunk visible: a hit that ends there needs no other."""
        engine = self.engine([dense(window=256)])
        sequences = []
        for _ in range(12):  # 96 chunks
            toks = tokens(8 * 256)
            self.assertTrue(engine.store(toks, unique("store")))
            sequences.append(toks)
        self.assertEqual([engine.hit(toks) for toks in sequences], [8] * 12, "an end went before what lies inside")
        inside = sum(engine.hit(toks, end=(i + 1) * 256) == i + 1 for toks in sequences for i in range(7))
        self.assertLessEqual(inside, ROOM - 12)

    def test_a_request_that_outgrows_the_pool(self):
        engine = self.engine()
        toks = tokens(60 * 256)
        stored = 0
        for at in range(0, 60, 10):
            if engine.store(toks, "r", at * 256, (at + 10) * 256):
                stored = at + 10
            # What was answered true is either there, or gone from its end: never a prefix that starts late.
            self.assertLessEqual(engine.hit(toks), stored)
        self.assertGreaterEqual(engine.hit(toks), 10)

    def test_nothing_is_evicted_from_under_the_sequence_being_stored(self):
        engine = self.engine()
        toks = tokens(ROOM * 256)
        for at in range(ROOM):
            self.assertTrue(engine.store(toks, "r", at * 256, (at + 1) * 256))
            self.assertEqual(engine.hit(toks), at + 1)

    def test_windowed_objects_give_way_to_a_long_prefix(self):
        engine = self.engine([dense(), dense(engine_group=1, window=128)])
        toks = tokens(41 * 256)
        self.assertFalse(engine.store(toks, "r"), "more than the full group has room for")
        self.assertEqual(engine.hit(toks), 0)
        # 30 chunks of the full group fit, with all the window's they would not.
        self.assertTrue(engine.store(toks, "r", end=30 * 256))
        self.assertEqual(engine.hit(toks), 30)


class Background(MemoryCase):
    flags = ("--eviction-trigger-watermark", "0.5", "--eviction-ratio", "0.2")

    def test_above_the_watermark_memory_is_freed_down_to_the_ratio(self):
        engine = self.engine()
        stored = [tokens(256) for _ in range(30)]
        for toks in stored:
            self.assertTrue(engine.store(toks, unique("store")))
        eventually(lambda: sum(engine.hit(toks) for toks in stored) <= ROOM * 0.5, "background eviction")
        self.assertGreaterEqual(sum(engine.hit(toks) for toks in stored), ROOM * 0.5 * 0.8 - 1, "by bytes, no further than asked")


class NoEviction(MemoryCase):
    flags = ("--eviction-policy", "noop")

    def test_when_full_a_store_fails_and_what_is_there_stays(self):
        engine = self.engine()
        stored = self.store_singles(engine, ROOM)
        toks = tokens(256)
        self.assertFalse(engine.store(toks, "r"))
        self.assertEqual(engine.hit(toks), 0)
        self.assertEqual([engine.hit(s) for s in stored], [1] * ROOM)
        engine.clear()
        self.assertTrue(engine.store(toks, "r"))
        self.assertEqual(engine.hit(toks), 1)


class BrokenSegments(MemoryCase):
    l1_gb = "0.25"

    def shrink(self, engine, size=0):
        """Takes the memory away under the daemon; the engine's tensors must not be touched any more."""
        os.truncate("/dev/shm/" + engine.segment.name.lstrip("/"), size)

    def test_a_shrunk_segment_fails_the_copy_and_nothing_else(self):
        for size in (0, 4096 * 40):
            engine = self.engine(deepseek_v4(), 1024, hints={"kv_layout": "BLHNC"})
            bystander = self.engine(capacity=512)
            toks, other = tokens(1024), tokens(1024)
            self.assertTrue(engine.store(other, "other"))
            self.assertEqual(engine.lookup(other, "other"), 4)
            self.shrink(engine, size)
            self.assertFalse(engine.store(toks, "r"))
            self.assertFalse(engine.retrieve(other, "other"))
            self.assertTrue(bystander.store(tokens(512), "b"))

            again = self.engine(deepseek_v4(), 1024, hints={"kv_layout": "BLHNC"}, model=engine.model)
            again.instance = engine.instance
            again.register()
            self.assertEqual(again.hit(toks), 0)
            again.fill(1)
            content = again.bytes()
            self.assertTrue(again.store(toks, "r"), "the failed store must not block this one")
            self.assertEqual(again.lookup(toks, "r"), 4)
            again.fill(2)
            before = again.bytes()
            self.assertTrue(again.retrieve(toks, "r"))
            written = again.written(again.blocks(0, 1024), 0, 1024)
            self.assertEqual(again.differing(again.expect(before, content, written)), 0)

    def test_segments_that_cannot_be_what_they_claim(self):
        """Of what the package would send at all: it refuses by itself a view that its own claim of a size does not cover."""
        client = self.connect()
        engine = Engine(client, [Group(0, 1, 64, (None, 64, 576), page=576 * 64 * 2)], 512)
        self.addCleanup(engine.close)
        good = engine.wrappers()

        def refused(**changes):
            wrappers = engine.wrappers()
            for name, value in changes.items():
                setattr(wrappers[0], name, value)
            with self.assertRaisesRegex(ValueError, "register_kv_cache: "):
                client.register_kv_cache(engine.instance, wrappers, engine.model, 1, engine.engine_type, engine.hints,
                                         engine.infos).result(timeout=60)

        refused(shm_name="/no-such-segment")
        refused(shm_name="/../etc/passwd")
        refused(shm_name="/.")
        refused(shm_name="")
        refused(nbytes=good[0].nbytes * 2)
        self.shrink(engine, 4096)
        refused()
        self.assertFalse(self.server.mapped(engine.segment.name))

    def test_memory_is_unmapped_with_its_last_user(self):
        client = self.connect()
        engine = Engine(client, deepseek_v4(), 1024, hints={"kv_layout": "BLHNC"})
        self.addCleanup(engine.close)
        engine.register()
        first = engine.instance
        engine.instance += 1
        engine.register()
        self.assertTrue(self.server.mapped(engine.segment.name))
        engine.unregister()
        self.assertTrue(self.server.mapped(engine.segment.name))
        engine.instance = first
        engine.unregister()
        eventually(lambda: not self.server.mapped(engine.segment.name), "the segment is unmapped")


if __name__ == "__main__":
    unittest.main()
