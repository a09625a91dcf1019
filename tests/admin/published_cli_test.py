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

    def test_quota_says_that_there_are_none(self):
        for args in (["list"], ["get", "a"], ["set", "a", "--limit-gb", "1"], ["delete", "a"]):
            done = lmcache("quota", *args, "--url", self.server.http)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("this server keeps no quotas yet", done.stdout + done.stderr)

    def test_a_server_that_is_not_there(self):
        server = Server(["--l1-size-gb", "0.0625"])
        url = server.http
        self.assertEqual(server.stop(), 0)
        server.discard()
        for args in (["ping", "kvcache"], ["describe", "kvcache"], ["kvcache", "clear"]):
            self.assertNotEqual(lmcache(*args, "--url", url).returncode, 0)


if __name__ == "__main__":
    unittest.main()
