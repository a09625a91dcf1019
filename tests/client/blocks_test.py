"""Block ids: null ones, growing tables, and lists longer than needed."""

import unittest

from kvclient import Engine, dense, tokens, unique
from server import ServerCase


class BlockCase(ServerCase):
    def engine(self, groups, capacity=1024, **more):
        return Engine(self.connect(), groups, capacity, **more).register()

    def check_retrieve(self, engine, toks, content, ids, end):
        """Leases, retrieves [0, end) with these ids, and checks every byte of the engine's memory."""
        rid = unique("request")
        self.assertEqual(engine.lookup(toks, rid), end // engine.chunk)
        engine.fill(90)
        before = engine.bytes()
        self.assertTrue(engine.retrieve(toks, rid, end=end, blocks=ids))
        self.assertEqual(engine.differing(engine.expect(before, content, engine.written(ids, 0, end))), 0)
        engine.end(rid)


class NullIds(BlockCase):
    def test_a_chunk_with_one_null_id_is_not_stored(self):
        for place in (0, 7, 15):
            engine = self.engine([dense()])
            toks, ids = tokens(1024), engine.blocks(0, 1024)
            holed = [ids[0][:32 + place] + [0] + ids[0][33 + place:]]
            self.assertTrue(engine.store(toks, "s", blocks=holed), "null ids are no failure")
            self.assertEqual(engine.hit(toks), 2, "the hit ends before the chunk with the null id")
            self.assertTrue(engine.store(toks, "s", blocks=ids))
            self.assertEqual(engine.hit(toks), 4)

    def test_chunks_of_null_ids_only(self):
        engine = self.engine([dense()])
        toks, ids = tokens(1024), engine.blocks(0, 1024)
        engine.fill(1)
        content = engine.bytes()
        self.assertTrue(engine.store(toks, "s", blocks=[ids[0][:48] + [0] * 16]))
        self.check_retrieve(engine, toks, content, [ids[0][:48]], 768)

    def test_null_ids_before_the_window_do_not_matter(self):
        engine = self.engine([dense(), dense(engine_group=1, window=128)])
        toks, ids = tokens(1024), engine.blocks(0, 1024)
        engine.fill(1)
        content = engine.bytes()
        windowed = [0 if j % 16 < 8 else block for j, block in enumerate(ids[1])]
        self.assertTrue(engine.store(toks, "s", blocks=[ids[0], windowed]))
        self.check_retrieve(engine, toks, content, ids, 1024)

    def test_a_null_id_inside_the_window_keeps_that_group_from_the_chunk(self):
        engine = self.engine([dense(), dense(engine_group=1, window=128)])
        toks, ids = tokens(1024), engine.blocks(0, 1024)
        engine.fill(1)
        content = engine.bytes()
        windowed = ids[1][:56] + [0] + ids[1][57:]  # the first id that counts in the last chunk
        self.assertTrue(engine.store(toks, "s", blocks=[ids[0], windowed]))
        self.check_retrieve(engine, toks, content, [ids[0][:48], ids[1][:48]], 768)

    def test_an_engine_that_has_freed_all_but_the_window(self):
        for window, kept in ((128, 8), (512, 32)):
            engine = self.engine([dense(), dense(engine_group=1, window=window)])
            toks, ids = tokens(1024), engine.blocks(0, 1024)
            engine.fill(1)
            content = engine.bytes()
            self.assertTrue(engine.store(toks, "s", blocks=[ids[0], [0] * (64 - kept) + ids[1][-kept:]]))
            self.assertEqual(engine.hit(toks, end=768), 0)
            self.check_retrieve(engine, toks, content, ids, 1024)

    def test_one_null_id_of_one_kernel_group_keeps_the_whole_object_out(self):
        engine = self.engine([dense(window=128), dense(engine_group=1, block=32, window=64)])  # both in one object group
        toks, ids = tokens(1024), engine.blocks(0, 1024)
        self.assertTrue(engine.store(toks, "s", blocks=[ids[0], ids[1][:-1] + [0]]))
        self.assertEqual(engine.hit(toks), 3)

    def test_a_retrieve_never_writes_the_null_block(self):
        engine = self.engine([dense(), dense(engine_group=1, window=512)])
        toks, ids = tokens(1024), engine.blocks(0, 1024)
        engine.fill(1)
        content = engine.bytes()
        self.assertTrue(engine.store(toks, "s"))
        full = [0 if j % 3 == 0 else block for j, block in enumerate(ids[0])]
        windowed = [0] * 40 + ids[1][40:]
        self.check_retrieve(engine, toks, content, [full, windowed], 1024)


class AnotherNullId(BlockCase):
    flags = ("--null-block-id=-1",)

    def test_block_zero_is_then_a_block_like_any_other(self):
        engine = self.engine([dense()])
        toks, ids = tokens(512), engine.blocks(0, 512)
        self.assertTrue(engine.store(toks, "s", blocks=[ids[0][:-1] + [-1]]))
        self.assertEqual(engine.hit(toks), 1)
        self.assertTrue(engine.store(toks, "s", blocks=[ids[0][:-1] + [0]]))
        self.assertEqual(engine.hit(toks), 2)


class Growing(BlockCase):
    def test_a_request_is_stored_in_steps_while_its_tokens_grow(self):
        engine = self.engine([dense(), dense(engine_group=1, window=128)], 2048)
        toks, ids = tokens(2048), engine.blocks(0, 2048)
        engine.fill(1)
        content = engine.bytes()
        at = 0
        for known in (256, 300, 800, 1500, 2048):
            end = known // 256 * 256
            if end > at:
                self.assertTrue(engine.store(toks[:known], "r", at, end))
            at = end
            self.assertEqual(engine.hit(toks), at // 256)
        self.check_retrieve(engine, toks, content, ids, 2048)

    def test_steps_out_of_order(self):
        engine = self.engine([dense()])
        toks = tokens(1024)
        self.assertTrue(engine.store(toks, "r", 512, 1024))
        self.assertEqual(engine.hit(toks), 0)
        self.assertTrue(engine.store(toks, "r", 0, 512))
        self.assertEqual(engine.hit(toks), 4)

    def test_storing_again_keeps_the_first_bytes(self):
        engine = self.engine([dense()])
        toks, ids = tokens(1024), engine.blocks(0, 1024)
        engine.fill(1)
        content = engine.bytes()
        self.assertTrue(engine.store(toks, "r"))
        engine.fill(2)
        self.assertTrue(engine.store(toks, "r"))
        self.check_retrieve(engine, toks, content, ids, 1024)

    def test_whole_chunks_more_than_needed_are_ignored(self):
        engine = self.engine([dense()], 2048)
        toks, ids = tokens(2048), engine.blocks(0, 2048)
        engine.fill(1)
        content = engine.bytes()
        self.assertTrue(engine.store(toks, "r", 0, 1024, blocks=ids))
        self.assertEqual(engine.hit(toks), 4)
        rid = unique("request")
        self.assertEqual(engine.lookup(toks, rid), 4)
        engine.fill(2)
        before = engine.bytes()
        self.assertTrue(engine.retrieve(toks, rid, 0, 1024, blocks=ids))
        written = engine.written(engine.blocks(0, 1024), 0, 1024)
        self.assertEqual(engine.differing(engine.expect(before, content, written)), 0)

    def test_the_hit_is_the_longest_stored_prefix(self):
        engine = self.engine([dense()], 2048)
        toks = tokens(2048)
        self.assertTrue(engine.store(toks, "r"))
        self.assertEqual(engine.hit(toks[:1024] + tokens(1024)), 4)
        self.assertEqual(engine.hit(toks[:1000]), 3)
        self.assertEqual(engine.hit(toks[:255]), 0)
        self.assertEqual(engine.hit(tokens(256) + toks[256:]), 0)
        self.assertEqual(engine.hit(toks, end=512), 2)


if __name__ == "__main__":
    unittest.main()
