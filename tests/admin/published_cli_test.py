"""The published `lmcache` command line against the daemon, unchanged."""

import json
import os
import subprocess
import sys
import unittest

from admin import PATIENCE, AdminCase, Server
from kvclient import Engine, deepseek_v4, dense, tokens, unique


def lmcache(*args):
    """Its own script names the folder it was first installed in, so the module is run."""
    start = "import sys; from lmcache.cli.main import main; sys.exit(main())"
    environment = {**os.environ, "LMCACHE_LOG_LEVEL": "ERROR"}  # where it prints its own errors
    return subprocess.run([sys.executable, "-c", start, *args], capture_output=True, text=True, timeout=PATIENCE,
                          env=environment)


class PublishedCli(AdminCase):
    def report(self, *args):
        done = lmcache(*args, "--url", self.server.http, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)["metrics"]

    def test_ping(self):
        self.assertEqual(self.report("ping", "kvcache")["status"], "OK")

    def test_describe(self):
        client = self.connect()
        engine = Engine(client, deepseek_v4(), 1024).register()
        self.addCleanup(engine.close)
        self.assertTrue(engine.store(tokens(1024), unique("store")))
        told = self.report("describe", "kvcache")
        self.assertEqual(told["health"], "OK")
        self.assertEqual(told["engine_type"], "MPCacheServer")
        self.assertEqual(told["chunk_size"], 256)
        self.assertEqual(told["l1_capacity_gb"], 0.25)
        self.assertEqual(told["eviction_policy"], "LFU")
        self.assertGreater(told["cached_objects"], 0)
        (model,) = told["models"]
        self.assertEqual((model["model"], model["world_size"]), (engine.model, 1))
        self.assertEqual(model["gpu_ids"], str(engine.instance))
        self.assertEqual(len(told["kernel_groups"]), 8)
        self.assertEqual([g["engine_group_idx"] for g in told["kernel_groups"]], [0, 1, 2, 3, 2, 3, 2, 4])
        engine.unregister()

    def test_kvcache_clear(self):
        client = self.connect()
        engine = Engine(client, [dense()], 1024).register()
        toks = tokens(1024)
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertEqual(engine.hit(toks), 4)
        done = lmcache("kvcache", "clear", "--url", self.server.http)  # it takes no --format here
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"Status: +OK")
        self.assertEqual(engine.hit(toks), 0)
        engine.unregister()

    def test_a_quota_is_taken_under_any_policy(self):
        done = lmcache("quota", "set", "a", "--limit-gb", "1", "--url", self.server.http)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"Status: +ok")
        reply = self.http().ask("PUT", "/quota/a", {"limit_gb": 1})
        self.assertIn("not enforced", reply.headers["warning"])

    def test_a_server_that_is_not_there(self):
        server = Server(["--l1-size-gb", "0.0625"])
        url = server.http
        self.assertEqual(server.stop(), 0)
        server.discard()
        for args in (["ping", "kvcache"], ["describe", "kvcache"], ["kvcache", "clear"]):
            self.assertNotEqual(lmcache(*args, "--url", url).returncode, 0)


class PublishedQuota(AdminCase):
    flags = ("--eviction-policy", "IsolatedLRU")
    chunk_gb = 2 * 2 * 256 * 2 * 64 * 2 / (1 << 30)  # of dense(): layers, K and V, tokens, heads, size, bfloat16

    def quota(self, *args):
        done = lmcache("quota", *args, "--url", self.server.http)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def told(self, salt):
        return self.http().get(f"/quota/{salt}").json

    def stored(self, salt, chunks):
        engine = Engine(self.connect(), [dense()], 256 * chunks, salt=salt).register()
        toks = tokens(256 * chunks)
        self.assertTrue(engine.store(toks, unique("store")))
        return engine, toks

    def test_set_get_list_delete(self):
        self.assertRegex(self.quota("list"), "No quotas configured")
        self.assertRegex(self.quota("set", "team-a", "--limit-gb", "0.0625"), r"Status: +ok")
        self.assertEqual(self.told("team-a"), {"cache_salt": "team-a", "limit_gb": 0.0625, "current_usage_gb": 0, "exists": True})
        self.assertRegex(self.quota("get", "team-a"), r"(?s)Limit \(GB\): +0.06.*Exists: +True")
        self.assertRegex(self.quota("list"), r"(?s)Salt: team-a.*Limit \(GB\): +0.06")
        self.assertRegex(self.quota("delete", "team-a"), r"Status: +removed")
        self.assertRegex(self.quota("delete", "team-a"), r"Status: +not_found")
        self.assertFalse(self.told("team-a")["exists"])

    def test_a_lower_limit_takes_the_tenants_own_at_once(self):
        own, toks = self.stored("noisy", 8)
        other, others = self.stored("quiet", 8)
        self.assertEqual(self.told("noisy")["current_usage_gb"], 8 * self.chunk_gb)
        self.quota("set", "noisy", "--limit-gb", str(4 * self.chunk_gb))
        self.assertEqual(self.told("noisy")["current_usage_gb"], 4 * self.chunk_gb)
        self.assertEqual((own.hit(toks), other.hit(others)), (4, 8))
        # What does not fit is not stored; what fits takes the place of its own.
        self.assertFalse(own.store(tokens(5 * 256), unique("store")))
        fitting = tokens(3 * 256)
        self.assertTrue(own.store(fitting, unique("store")))
        self.assertEqual((own.hit(fitting), own.hit(toks), other.hit(others)), (3, 1, 8))
        self.http().ask("DELETE", "/quota/noisy")
        self.assertTrue(own.store(tokens(5 * 256), unique("store")))
        for engine in (own, other):
            engine.unregister()

    def test_the_empty_salt_is_called_default(self):
        own, toks = self.stored("", 4)
        self.quota("set", "_default", "--limit-gb", str(2 * self.chunk_gb))
        self.assertEqual(own.hit(toks), 2)
        self.http().ask("DELETE", "/quota/_default")
        own.unregister()


if __name__ == "__main__":
    unittest.main()
