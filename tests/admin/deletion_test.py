"""DELETE /cache/objects: what goes, what is in use, what is counted, and what is refused."""

import unittest

from admin import AdminCase, eventually
from kvclient import Engine, dense, tokens, unique


class Deletion(AdminCase):
    def keys(self, model):
        entries = self.http().get(f"/cache/objects?tier=l1&page_size=5000&model_name={model}").json["entries"]
        return [entry["key"] for entry in entries]

    def delete(self, keys, tier="l1", **more):
        return self.http().ask("DELETE", "/cache/objects", {"keys": keys, "tier": tier, **more})

    def stored(self, chunks, **options):
        """An engine, the tokens it has stored, and the keys of its chunks from the first on."""
        engine = Engine(self.connect(), [dense()], 8192, **options).register()
        self.addCleanup(engine.unregister)
        toks, order = tokens(chunks * 256), []
        for end in range(1, chunks + 1):
            self.assertTrue(engine.store(toks[:end * 256], unique("store")))
            order += [key for key in self.keys(engine.model) if key not in order]
        return engine, toks, order

    def test_the_end_goes_alone_and_a_beginning_with_all_behind_it(self):
        engine, toks, keys = self.stored(6, salt="tenantB")
        other, others, _ = self.stored(2)
        self.assertEqual(self.delete(keys[5:]).json, {"deleted": 1, "skipped": 0, "ok": True})
        self.assertEqual(engine.hit(toks), 5)
        self.assertEqual(self.delete(keys[2:3], tier="all", adapter=None).json, {"deleted": 1, "skipped": 0, "ok": True})
        self.assertEqual(engine.hit(toks), 2)
        self.assertEqual(self.keys(engine.model), keys[:2])
        self.assertEqual(other.hit(others), 2)
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertEqual(engine.hit(toks), 6)

    def test_only_what_was_there_is_counted_and_once(self):
        engine, _, keys = self.stored(3)
        unknown = [{**keys[0], "chunk_hash_hex": "ab" * 32}, {**keys[0], "cache_salt": "else"}, {**keys[0], "object_group_id": 7},
                   {**keys[0], "kv_rank": 1 << 60}, {**keys[0], "model_name": "none"}]
        self.assertEqual(self.delete(keys + keys + unknown).json, {"deleted": 3, "skipped": 0, "ok": True})
        self.assertEqual(self.delete(keys).json, {"deleted": 0, "skipped": 0, "ok": True})
        self.assertEqual(self.delete([], force=True).json, {"deleted": 0, "skipped": 0, "ok": True})

    def test_what_is_leased_is_skipped_unless_forced(self):
        self.http().post("/cache/clear", {"force": True})
        engine, toks, keys = self.stored(3)
        request = unique("lookup")
        self.assertEqual(engine.lookup(toks[:512], request), 2)
        self.assertEqual(self.delete(keys).json, {"deleted": 1, "skipped": 2, "ok": True})
        self.assertEqual(self.delete(keys[:1], force=True).json, {"deleted": 1, "skipped": 0, "ok": True})
        self.assertEqual(engine.hit(toks), 0)
        self.assertEqual(self.keys(engine.model), [])
        self.assertTrue(engine.retrieve(toks[:512], request), "the lease has them")
        engine.end(request)
        client = self.http()
        eventually(lambda: client.get("/status").json["storage_manager"]["l1_manager"]["memory_used_bytes"] == 0,
                   "the last user has freed them")

    def test_what_is_refused(self):
        key = {"chunk_hash_hex": "00" * 32, "model_name": "m", "kv_rank": 0}
        self.assertEqual(self.delete([key]).json, {"deleted": 0, "skipped": 0, "ok": True})
        for keys, more, status in (
                ([key], {"tier": "l2"}, 503), ([key], {"tier": "l2", "adapter": "fs"}, 404), ([key], {"tier": "all", "adapter": "fs"}, 404),
                ([key], {"adapter": "ignored"}, 200), ([key], {"tier": "l3"}, 422), ([key], {"force": "yes"}, 422),
                ([key], {"adapter": 1}, 422), ({}, {}, 422), ([7], {}, 422), ([{}], {}, 422), ([{**key, "kv_rank": "0"}], {}, 422),
                ([{**key, "kv_rank": -1}], {}, 422), ([{**key, "model_name": None}], {}, 422), ([{**key, "chunk_hash_hex": 5}], {}, 422),
                ([{**key, "cache_salt": 5}], {}, 422), ([{**key, "object_group_id": 1.5}], {}, 422),
                ([{**key, "chunk_hash_hex": "00"}], {}, 400), ([{**key, "chunk_hash_hex": "zz" * 32}], {}, 400)):
            with self.subTest(keys=keys, more=more):
                self.assertEqual(self.delete(keys, **more).status, status)
        self.assertEqual(self.delete([key, {**key, "kv_rank": []}]).json["detail"][0]["loc"], ["body", "keys", 1, "kv_rank"])
        self.assertEqual(self.http().ask("DELETE", "/cache/objects", {}).status, 422)
        small = {"chunk_hash_hex": "", "model_name": "", "kv_rank": 0}
        self.assertIn("limit=10000, got=10001", self.delete([small] * 10001).json["detail"])
        self.assertEqual(self.delete([small] * 10000).status, 400, "no hash")
        self.assertEqual(self.delete([key] * 10000).status, 413, "a mebibyte")
        self.assertEqual(self.delete([key] * 6000).json, {"deleted": 0, "skipped": 0, "ok": True})


if __name__ == "__main__":
    unittest.main()
