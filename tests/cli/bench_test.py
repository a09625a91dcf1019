"""`lmcache bench`: exit codes, and that what one command writes the other reads."""

import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmcache_cli import run


class Bench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.trace = os.path.join(folder.name, "trace.jsonl")
        self.plot = os.path.join(folder.name, "plot.svg")

    def assert_fails(self, code, result, text):
        self.assertEqual(result.returncode, code, result)
        self.assertTrue(result.stderr.startswith("lmcache bench: "), result.stderr)
        self.assertIn(text, result.stderr)

    def test_a_trace_goes_through_the_policies_and_into_a_plot(self):
        self.assertEqual(run("bench", "trace", "--requests", "300", "--active", "20", "--out", self.trace).returncode, 0)
        with open(self.trace) as lines:
            self.assertEqual(len(lines.readlines()), 300)
        result = run(
            "bench", "eviction", "--trace", self.trace, "--layout", "hybrid", "--l1-size-gb", "1,4", "--json", "--plot", self.plot
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(sorted({row["policy"] for row in rows}),
                         ["ARC", "GITTINS", "LFU", "LRU", "S3FIFO", "WTINYLFU", "bound", "unlimited"])
        bounds = {row["gib"]: row["hit_tokens"] for row in rows if row["policy"] == "bound"}
        for row in rows:
            if "lookup_ns" in row:
                self.assertLessEqual(row["hit_tokens"], bounds[row["gib"]], "better than the bound")
        with open(self.plot) as picture:
            self.assertIn("</svg>", picture.read())

    def test_without_out_the_trace_goes_to_stdout(self):
        self.assertEqual(run("bench", "trace", "--requests", "7").stdout.count("\n"), 7)

    def test_mistakes(self):
        self.assert_fails(2, run("bench"), "subcommand")
        self.assert_fails(2, run("bench", "eviction"), "--trace")
        self.assert_fails(2, run("bench", "foo"), "unknown command 'foo'; one of trace, eviction, server")
        self.assert_fails(2, run("bench", "server", "--rounds", "1"), "unknown flag --rounds\n")
        self.assert_fails(2, run("bench", "server", "--rounds=1"), "unknown flag --rounds\n")
        self.assert_fails(2, run("bench", "trace", "--requests", "0"), "--requests")
        self.assert_fails(1, run("bench", "trace", "--workload", "chats"), "'chats'")
        self.assert_fails(1, run("bench", "eviction", "--trace", "/nonexistent"), "cannot read")
        run("bench", "trace", "--requests", "5", "--out", self.trace)
        self.assert_fails(1, run("bench", "eviction", "--trace", self.trace, "--policy", "FIFO"), "'FIFO'")
        self.assert_fails(1, run("bench", "eviction", "--trace", self.trace, "--layout", "none"), "'none'")
        with open(self.trace, "a") as lines:
            lines.write("{}\n")
        self.assert_fails(1, run("bench", "eviction", "--trace", self.trace), "line 6")

    def test_help(self):
        for args in (["bench", "--help"], ["bench", "trace", "--help"], ["bench", "eviction", "--help"]):
            result = run(*args)
            self.assertEqual(result.returncode, 0)
            self.assertIn("lmcache bench", result.stdout)


if __name__ == "__main__":
    unittest.main()
