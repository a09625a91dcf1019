"""What the documents quote is what is quoted: metrics, messages, figures, files, settings of the published connector."""

import glob
import importlib.util
import json
import os
import re
import subprocess
import tempfile
import unittest

import documents
from admin import PATIENCE
from server import BINARY

PATTERN = re.compile(r"/(NAME|x)$")  # a path that stands for several
VARIES = "\u2026"  # stands in a quoted message for what differs
# Words of others that docs/TROUBLESHOOTING.md repeats, of the kernel and of CUDA among them, and names.
NO_MESSAGES = re.compile(r"[\w./-]+|--?[a-z].*|[A-Z]+ /.*|lmcache .*|.*(ulimit|sysctl|mount|gdb|thread apply|journalctl|=).*")


def published_source(*path):
    """Text of a file of the published package, which is not imported: it would want the engine."""
    return documents.read(os.path.dirname(importlib.util.find_spec("lmcache").origin), *path)


def literals(text):
    """Its string literals; adjacent ones are one."""
    joined = re.sub(r'(?<!\\)"\s*f?"', "", text)
    return re.findall(r'"((?:[^"\\\n]|\\.)*)"', joined)


def program_texts():
    paths = glob.glob(os.path.join(documents.ROOT, "src", "**", "*.cpp"), recursive=True)
    return "\n".join(text for path in paths for text in literals(documents.read(path)))


class Metrics(unittest.TestCase):
    def test_that_documents_name_exist(self):
        known = set(re.findall(r"^\| `(\w+)`", documents.read("docs", "METRICS.md"), re.M))
        for name in documents.for_users():
            text = documents.read(name)
            if name == "docs/MIGRATION.md":  # names there what is not exported; migration_test.py checks that
                text = text.replace(documents.section(text, "Metrics"), "")
            named = set(re.findall(r"\blmcache_mp_\w*\w\b(?!\*)", text))
            named = {re.sub(r"_bucket$", "", metric) for metric in named}
            self.assertEqual(named - known, set(), name)


class Messages(unittest.TestCase):
    def test_that_are_quoted_are_the_programs(self):
        adapter = published_source("integration", "vllm", "vllm_multi_process_adapter.py")
        texts = program_texts() + "\n".join(literals(adapter))
        spans = documents.SPAN.findall(documents.prose(documents.read("docs", "TROUBLESHOOTING.md")))
        quoted = [span for span in spans if not NO_MESSAGES.fullmatch(span)]
        self.assertGreater(len(quoted), 30)
        for span in quoted:
            for part in filter(None, (part.strip(" ':,;") for part in span.split(VARIES))):
                with self.subTest(span):
                    self.assertTrue(part in texts, f"nobody says it: {part}")


class Figures(unittest.TestCase):
    def test_of_the_comparison_are_the_benchmarks(self):
        benchmarks = documents.read("docs", "benchmarks.md")
        rows = documents.rows(documents.section(documents.read("README.md"), "Against the Python server"))
        measured = [row for row in rows if len(row) == 4]
        self.assertGreater(len(measured), 5)
        for what, theirs, ours, times in measured:
            with self.subTest(what):
                values = []
                for cell in (theirs, ours):
                    figure = re.fullmatch(r"([\d.,]+) (us|ms|/s|GB/s|%)( \(LRU\))?", cell)
                    self.assertIsNotNone(figure, cell)
                    self.assertTrue(f" {figure[1]} {figure[2]}" in benchmarks, cell)
                    values.append(float(figure[1].replace(",", "")))
                slower = figure[2] in ("us", "ms")
                ratio = values[0] / values[1] if slower else values[1] / values[0]
                self.assertAlmostEqual(float(times), ratio, delta=0.02 * ratio + 0.05)


class Sizing(unittest.TestCase):
    """The trace is seeded, so the simulator says the same each time."""

    def test_shares_are_the_simulators(self):
        text = documents.section(documents.read("docs", "SIZING.md"), "Pool for a working set")
        figures = [row[1:] for row in documents.rows(text) if len(row) == 8]
        sizes, shares = figures[0::2], figures[1::2]
        commands = [documents.program(command) for command in documents.fenced_commands(text)]
        with tempfile.TemporaryDirectory() as folder:
            said = [self.run_in(folder, words) for words in commands[:1 + len(sizes)]]
        for gib, served, rows in zip(sizes, shares, said[1:], strict=True):
            of_policy = [row for row in rows if row["policy"] == "LFU"]
            for size, share, row in zip(gib, served, of_policy, strict=True):
                self.assertAlmostEqual(float(size), row["gib"], delta=0.01 * row["gib"])
                self.assertAlmostEqual(float(share.rstrip(" %")), 100 * row["hit_tokens"], delta=0.06)

    def run_in(self, folder, words):
        words = [*words, "--json"] if "eviction" in words else words
        done = subprocess.run([BINARY, *words], cwd=folder, capture_output=True, check=True, text=True, timeout=PATIENCE)
        return [json.loads(line) for line in done.stdout.splitlines()]


class Files(unittest.TestCase):
    def test_that_documents_name_exist(self):
        path = re.compile(r"(?:src|tests|configs|docs|include|cmake|kernels)/[\w./-]*")
        for name in documents.for_users():
            for span in documents.SPAN.findall(documents.prose(documents.read(name))):
                if path.fullmatch(span) and not PATTERN.search(span):
                    with self.subTest(span, document=name):
                        self.assertTrue(os.path.exists(os.path.join(documents.ROOT, span)))


class Vllm(unittest.TestCase):
    """vLLM's own flags are not checked: it is not here."""

    @classmethod
    def setUpClass(cls):
        cls.source = published_source("integration", "vllm", "lmcache_mp_connector.py")
        cls.settings = cls.source + published_source("integration", "vllm", "vllm_multi_process_adapter.py")

    def assert_known(self, key):
        name = key.removeprefix("lmcache.mp.")
        self.assertTrue(re.search(rf'"{re.escape(key)}"|^    {name} = ', self.settings, re.M), key)

    def test_what_is_said_to_the_connector(self):
        commands = [documents.words_of(command) for name in documents.for_users()
                    for command in documents.fenced_commands(documents.read(name)) if command.startswith("vllm ")]
        self.assertTrue(commands)
        for words in commands:
            settings = json.loads(words[words.index("--kv-transfer-config") + 1])
            connector = settings.pop("kv_connector")
            self.assertTrue(f"class {connector}(" in self.source, connector)
            self.assertEqual(settings.pop("kv_role"), "kv_both")
            for key in settings.pop("kv_connector_extra_config", {}):
                self.assert_known(key)
            self.assertEqual(settings, {})

    def test_its_settings_in_the_documents_exist(self):
        for name in documents.for_users():
            for key in set(re.findall(r"\blmcache\.mp\.\w+", documents.read(name))):
                with self.subTest(key, document=name):
                    self.assert_known(key)


if __name__ == "__main__":
    unittest.main()
