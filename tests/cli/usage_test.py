"""Exit codes and one-line messages of the real binary."""

import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmcache_cli import BINARY, clean_environment, run


class Usage(unittest.TestCase):
    def assert_mistake(self, result, start):
        self.assertEqual(result.returncode, 2, result)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertTrue(result.stderr.endswith("\n"))
        self.assertTrue(result.stderr.startswith(start), result.stderr)

    def test_version(self):
        result = run("--version")
        self.assertEqual(result.returncode, 0)
        # From a checkout: the number of commits before the hash, or packages would not sort by age; a shallow clone has none.
        self.assertRegex(result.stdout, r"^lmcache \d+\.\d+\.\d+(\+(\d+\.)?g[0-9a-f]+(\.dirty)?)?\n$")

    def test_help(self):
        for args in (["--help"], ["server", "--help"]):
            result = run(*args)
            self.assertEqual(result.returncode, 0)
            self.assertEqual(result.stderr, "")
            self.assertTrue(result.stdout.startswith("usage: lmcache server"))
        for group in ("Request socket", "Requests", "L1 cache", "Limits", "Observability"):
            self.assertIn(f"\n{group}\n", result.stdout)

    def test_output_that_cannot_be_written_is_a_failure(self):
        for args in (["--help"], ["--version"], ["server", "--help"], ["server", "--print-config"], ["bench", "--help"],
                     ["bench", "trace", "--requests", "10"], ["ping", "--help"], ["doctor", "--url", "http://127.0.0.1:1"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([BINARY, *args], env=clean_environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, args)
            if args[0] != "doctor":  # it may have found something too
                self.assertRegex(done.stderr, r"^lmcache: cannot write to stdout: .+\n$", args)

    def test_no_command_is_help_and_two(self):
        result = run()
        self.assertEqual(result.returncode, 2)
        self.assertIn("usage: lmcache server", result.stderr)

    def test_unknown_flag(self):
        self.assert_mistake(run("server", "--prot", "1"), "lmcache server: unknown flag --prot; did you mean --port?")

    def test_bad_value(self):
        self.assert_mistake(
            run("server", "--port", "70000"),
            "lmcache server: --port: '70000' is not allowed; allowed: whole number 0..65535",
        )

    def test_refused_flags(self):
        for args in (
            ["--grpc-server-workers", "4"],
            ["--grpc-server-workers=4"],
            ["--enable", "a", "b"],
            ["--l2-adapter", '{"type": "fs"}', "--l2-adapter", "{}"],
            ["--otlp-endpoint", "http://c:4317"],
            ["--enable-gc-monitor"],
            ["--gds-l1-use-direct-io"],
            ["--no-gds-l1-use-direct-io"],
            ["-q"],
        ):
            name = args[0].split("=")[0]
            self.assert_mistake(run("server", *args), f"lmcache server: {name} is not supported: ")

    def test_refused_environment(self):
        self.assert_mistake(
            run("server", LMCACHE_COORDINATOR_URL="http://c:9300"),
            "lmcache server: LMCACHE_COORDINATOR_URL is not supported: ",
        )

    def test_unknown_key_in_a_config_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("prt = 5555\n")
            file.flush()
            self.assert_mistake(run("server", "--config", file.name), "lmcache server: --config: unknown key 'prt'")

    def test_a_hostile_value_stays_on_one_line(self):
        self.assert_mistake(run("server", "--host\x1b[31m\nlmcache: fine"), "lmcache server: unknown flag --host?[31m?lmc")


if __name__ == "__main__":
    unittest.main()
