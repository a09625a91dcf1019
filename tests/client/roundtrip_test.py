"""Every layout goes in and comes out byte for byte, and nothing beside it is touched."""

import unittest

import torch
from kvclient import Engine, Group, deepseek_v4, dense, tokens, unique
from lmcache.utils import EngineType
from server import ServerCase


class RoundTrip(ServerCase):
    chunk = 256
    separate = True

    def engine(self, groups, capacity, **more):
        engine = Engine(self.connect(), groups, capacity, chunk=self.chunk, separate=self.separate, **more)
        self.addCleanup(engine.close)
        return engine.register()

    def there_and_back(self, engine, count, skip=0):
        """Stores, overwrites all memory, retrieves: what must be written is as stored, everything else is not touched."""
        toks = tokens(count)
        end = engine.whole(toks)
        ids = engine.blocks(0, end)
        engine.fill(1)
        stored = engine.bytes()
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertEqual(engine.differing(stored), 0, "a store wrote into the engine's memory")
        rid = unique("request")
        self.assertEqual(engine.lookup(toks, rid), end // self.chunk)
        engine.fill(2)
        before = engine.bytes()
        self.assertTrue(engine.retrieve(toks, rid, skip=skip))
        written = engine.written(ids, 0, end, skip)
        self.assertTrue(any(written))
        self.assertEqual(engine.differing(engine.expect(before, stored, written)), 0)
        engine.end(rid)
        engine.unregister()


class Chunks256(RoundTrip):
    """The default chunk size."""

    def test_keys_and_values_apart_blocks_first_tokens_first(self):
        self.there_and_back(self.engine([dense(3, 16, 4, 64)], 1024), 1024)

    def test_keys_and_values_apart_blocks_first_heads_first(self):
        group = Group(0, 2, 16, (None, 2, 4, 16, 32))
        self.there_and_back(self.engine([group], 1024, hints={"kv_layout": "HND"}), 1024)

    def test_keys_before_values_tokens_first(self):
        self.there_and_back(self.engine([Group(0, 2, 32, (2, None, 32, 4, 32))], 1024), 1000)

    def test_keys_before_values_heads_first(self):
        group = Group(0, 2, 16, (2, None, 4, 16, 32))
        self.there_and_back(self.engine([group], 768, hints={"kv_layout": "HND"}), 768)

    def test_without_a_layout_hint_a_cpu_worker_means_heads_first(self):
        self.there_and_back(self.engine([Group(0, 2, 16, (None, 2, 4, 16, 32))], 512, hints={}), 512)

    def test_fused_heads_first(self):
        for layout in ("HND", "BLHNC"):
            group = Group(0, 2, 16, (None, 4, 16, 64))
            self.there_and_back(self.engine([group], 768, hints={"kv_layout": layout}), 768)

    def test_fused_tokens_first(self):
        for layout in ("NHD", "BLNHC"):
            group = Group(0, 2, 16, (None, 16, 4, 64))
            self.there_and_back(self.engine([group], 768, hints={"kv_layout": layout}), 768)

    def test_every_element_size(self):
        for dtype in (torch.float16, torch.float32, torch.float8_e4m3fn, torch.uint8):
            self.there_and_back(self.engine([dense(2, 16, 2, 32, dtype)], 512), 512)

    def test_latents(self):
        self.there_and_back(self.engine([Group(0, 3, 64, (None, 64, 576))], 1024), 1024)

    def test_indexer_keys_in_three_and_four_dimensions(self):
        self.there_and_back(self.engine([Group(0, 3, 64, (None, 64, 132), torch.uint8)], 1024), 1024)
        self.there_and_back(self.engine([Group(0, 3, 64, (None, 64, 1, 132), torch.uint8)], 1024), 1024)

    def test_deepseek_v3_latents_and_indexer_in_one_engine_group(self):
        groups = [Group(0, 3, 64, (None, 64, 656), torch.uint8), Group(0, 3, 64, (None, 64, 132), torch.uint8)]
        self.there_and_back(self.engine(groups, 1024), 1024)

    def test_deepseek_v4_in_one_padded_pool(self):
        for layout in ("BLHNC", "BLNHC"):
            engine = self.engine(deepseek_v4(2, layout), 1024, hints={"kv_layout": layout})
            self.there_and_back(engine, 1024)

    def test_deepseek_v4_with_a_skip_that_every_group_rounds_down_for_itself(self):
        engine = self.engine(deepseek_v4(), 1024, hints={"kv_layout": "BLHNC"})
        self.there_and_back(engine, 1024, skip=768 + 128)

    def test_a_window_within_one_chunk_beside_full_attention(self):
        groups = [dense(2, 16, 2, 64), dense(2, 16, 2, 64, engine_group=1, window=128)]
        self.there_and_back(self.engine(groups, 2048), 2048)

    def test_a_window_of_four_chunks_beside_full_attention(self):
        groups = [dense(2, 16, 2, 64), dense(2, 16, 2, 64, engine_group=1, window=1024)]
        self.there_and_back(self.engine(groups, 2048), 2048)

    def test_a_window_alone(self):
        self.there_and_back(self.engine([dense(2, 16, 2, 64, window=512)], 2048), 2048)

    def test_sglang_keys_and_values_in_two_lists(self):
        # Layers' keys first, then layers' values; blocks and their rows share an axis.
        group = Group(0, 6, 16, (None, 4, 32), fold=16)
        engine = self.engine([group], 768, engine_type=EngineType.SGLANG, infos=[],
                             hints={"tokens_per_block": 16, "kv_list_layout": "k_v"})
        self.there_and_back(engine, 768)

    def test_sglang_latents(self):
        engine = self.engine([Group(0, 3, 16, (None, 1, 576), fold=16)], 768, engine_type=EngineType.SGLANG, infos=[],
                             hints={"tokens_per_block": 16})
        self.there_and_back(engine, 768)

    def test_sglang_unified(self):
        engine = self.engine([Group(0, 3, 16, (None, 16, 4, 32))], 768, engine_type=EngineType.SGLANG,
                             hints={"kv_list_layout": "unified"})
        self.there_and_back(engine, 768)

    def test_trtllm_pool(self):
        engine = self.engine([Group(0, 1, 32, (None, 3, 2, 4 * 32 * 32))], 768, engine_type=EngineType.TRTLLM, infos=[],
                             hints={"kv_layout": "HND", "num_kv_heads": 4, "tokens_per_block": 32, "head_dim": 32})
        self.there_and_back(engine, 768)

    def test_skipped_tokens_leave_their_blocks_alone(self):
        for skip in (16, 255, 256, 320, 1008, 1024):
            engine = self.engine([dense(2, 16, 2, 64)], 1280)
            self.there_and_back(engine, 1280, skip=skip)

    def test_layers_no_group_names_are_not_moved(self):
        from lmcache.v1.multiprocess.group_view import EngineGroupInfo

        engine = self.engine([dense(3)], 512, infos=[EngineGroupInfo(0, (0, 2), 16)])
        toks, rid = tokens(512), unique("request")
        engine.fill(1)
        stored = engine.bytes()
        self.assertTrue(engine.store(toks, rid))
        self.assertEqual(engine.lookup(toks, rid), 2)
        engine.fill(2)
        before = engine.bytes()
        self.assertTrue(engine.retrieve(toks, rid))
        expected = engine.expect(before, stored, engine.written(engine.blocks(0, 512), 0, 512))
        expected[1] = before[1]
        self.assertEqual(engine.differing(expected), 0)

    def test_two_workers_of_one_model_exchange_what_they_stored(self):
        one = self.engine([dense(2)], 1024)
        other = self.engine([dense(2)], 2048, model=one.model, seed=5)  # another pool, other block ids
        toks, rid = tokens(1024), unique("request")
        one.fill(1)
        stored = one.bytes()
        self.assertTrue(one.store(toks, rid))
        self.assertEqual(other.lookup(toks, rid), 4)
        self.assertTrue(other.retrieve(toks, rid))
        for (_, a), (_, b) in zip(one.views, other.views):
            for x, y in zip(one.blocks(0, 1024)[0], other.blocks(0, 1024)[0]):
                self.assertTrue(torch.equal(a.view(torch.int16)[x], b.view(torch.int16)[y]))
        self.assertEqual(one.differing(stored), 0)


class Chunks32(RoundTrip):
    """Chunks small enough that a window is longer than one."""

    flags = ("--chunk-size", "32")
    chunk = 32

    def test_dense(self):
        self.there_and_back(self.engine([dense(2, 16, 2, 64)], 1024), 1015)

    def test_windows_of_one_and_of_four_chunks(self):
        groups = [dense(1, 16, 2, 64), dense(1, 16, 2, 64, engine_group=1, window=32),
                  dense(1, 16, 2, 64, engine_group=2, window=128)]
        self.there_and_back(self.engine(groups, 1024), 1024)

    def test_a_hit_shorter_than_the_window(self):
        groups = [dense(1, 16, 2, 64), dense(1, 16, 2, 64, engine_group=1, window=128)]
        self.there_and_back(self.engine(groups, 1024), 64)

    def test_a_window_that_is_no_whole_number_of_chunks(self):
        groups = [dense(1, 16, 2, 64), dense(1, 16, 2, 64, engine_group=1, window=80)]
        self.there_and_back(self.engine(groups, 1024), 1024)


class OneObjectGroup(RoundTrip):
    flags = ("--no-separate-object-groups",)
    separate = False

    def test_deepseek_v4(self):
        self.there_and_back(self.engine(deepseek_v4(), 1024, hints={"kv_layout": "BLHNC"}), 1024)

    def test_hybrid(self):
        groups = [dense(2, 16, 2, 64), dense(2, 16, 2, 64, engine_group=1, window=128)]
        self.there_and_back(self.engine(groups, 1024), 1024)


if __name__ == "__main__":
    unittest.main()
