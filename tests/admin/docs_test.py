"""Each command of README.md and docs/ is run here, or the tables below say where it is."""

import os
import re
import subprocess
import tempfile
import unittest

import documents
from admin import PATIENCE, AdminCase, Server
from kvclient import Engine, dense, tokens, unique
from server import BINARY

# What another test runs: the file, and what in it does so.
RUN_BY = {
    "configs/install_deps.sh run && cmake --preset server && cmake --build --preset server && "
    "build/server/src/app/lmcache server --l1-size-gb 1 --eviction-policy LRU": ("tests/run_all.sh", "build server"),
    "tests/run_all.sh": ("tests/run_all.sh", "stages=("),
    "cmake --build --preset debug && ctest --preset debug -L unit": ("tests/run_all.sh", "ctest --preset"),
    "build/debug/tests/unit/app/unit_app --gtest_filter='ServerFlags.*'": ("tests/unit/app/cli_test.cpp", "TEST(ServerFlags,"),
    "LMCACHE_BINARY=$PWD/build/debug/src/app/lmcache python3 tests/cli/usage_test.py": ("tests/run_all.sh", "python_tests cli"),
    "clang-format -i $(git ls-files '*.cpp' '*.hpp')": ("tests/run_all.sh", "clang-format --dry-run"),
    "apt-get install ./lmcache-server_*.deb": ("tests/package/deb_test.py", "dpkg-deb"),
    "systemctl enable --now lmcache": ("tests/package/systemd_test.py", "systemctl enable --now lmcache"),
    "systemctl status lmcache": ("tests/package/systemd_test.py", "systemctl status lmcache"),
    "systemctl daemon-reload": ("tests/package/systemd_test.py", "systemctl daemon-reload"),
    "cmake --install build/server --prefix /usr/local": ("tests/package/install_test.py", '"cmake", "--install"'),
    "adduser --system --group --home /var/lib/lmcache --no-create-home lmcache":
        ("tests/package/install_test.py", "adduser --system --group --home /var/lib/lmcache --no-create-home lmcache"),
}

# What no test can run, and why. What can be parsed of it is.
NEEDS = {
    "editor /etc/lmcache/server.toml": "a person",
    "sysctl -w vm.nr_hugepages=32768": "root, and 64 GiB",
    "tests/bench/run.sh --peer --quick": "a quarter of an hour; nothing passes or fails by time",
    "PYTHON tests/bench/eviction_peer.py --binary build/release/src/app/lmcache --layout dense": "some minutes",
    "PYTHON tests/bench/eviction_peer.py --binary ... --layout deepseek-v4-flash --shares 400,100,40,20 "
    "--policies LRU,LFU,ARC chat": "some minutes",
    "PYTHON tests/bench/eviction_peer.py --binary ... --layout deepseek-v4-flash --shares 400,100,40,20 "
    "--policies LFU --separate chat": "some minutes",
    "PYTHON tests/bench/eviction_peer.py --binary build/release/src/app/lmcache --layout deepseek-v4-flash --shares 400,100,40,30.7,20 "
    "--policies LRU,LFU --pause 60:2 chat": "some minutes",
    "PYTHON tests/bench/eviction_online_bound.py --binary build/release/src/app/lmcache": "some minutes",
    "PYTHON tests/bench/eviction_online_bound.py --binary build/release/src/app/lmcache --pause 60:2": "some minutes",
    "lmcache server --l1-size-gb 4 --eviction-policy LRU --port 15656 --http-port 18656": "free ports, 4 GiB",
    'PYTHON -c "import sys; from lmcache.cli.main import main; sys.exit(main())" server --l1-size-gb 4 --eviction-policy LRU '
    "--port 15755 --http-port 18755": "free ports, 4 GiB",
    "lmcache bench server tcp://localhost:5656 tcp://localhost:5755 --device cuda --requests 20 --clear": "a GPU, two servers",
    "build/release/tests/bench/cache_bench --benchmark_filter='steady_state|clear_all|aged_pool'": "some minutes",
}
# Servers of the documents in whose place two of ours are asked, for less: the second is the Python server there.
BENCHED = ("tcp://localhost:15656", "tcp://localhost:15755")
VLLM = "vllm serve "  # needs GPUs; docs_facts_test.py checks what it says to the connector

# Spans that name a command without all it needs.
PARTS = {"lmcache bench", "lmcache bench server", "lmcache quota", "lmcache bench eviction --json"}
# Commands of the reference that the documents say are refused.
REFUSED = {"lmcache query"}

# Arguments beyond --url that a command gets here, and how it may end.
ARGUMENTS = {
    "doctor": ("--port", "0", "--http-port", "0"),  # whatever else listens on this machine
    "top": ("--iterations", "1"),  # without, it ends with Ctrl-C
}
EXIT_CODES = {"doctor": (0, 1)}  # 1: it has found something
LOCAL = {"bench"}  # asks no server

PLACEHOLDER = re.compile(r"\.\.\.|\||\b(FILE|GIB|HOST|N|PATH|PORT)\b")


def run(words, **options):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=PATIENCE, **options)


class Documented(AdminCase):
    flags = ("--eviction-policy", "IsolatedLRU")  # limits per cache_salt need it

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.TemporaryDirectory()  # what one command writes the next one reads

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()
        super().tearDownClass()

    def setUp(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        self.assertTrue(engine.store(tokens(1024), unique("store")))
        self.addCleanup(engine.unregister)

    def check_parses(self, flags):
        """The server takes the flags: what it complains of is the last two."""
        done = run(["server", *flags, "--heartbeat-interval-seconds", "5", "--heartbeat-timeout-seconds", "1"])
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"^lmcache server: --heartbeat-timeout-seconds: '1' is not allowed")

    def check_known(self, words):
        """Part of a command line: the command is there and has these flags."""
        path = []
        for word in words:
            if word.startswith("-") or PLACEHOLDER.search(word):
                break
            path.append(word)
        done = run([*path, "--help"])
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in words:
            if word.startswith("--"):
                self.assertRegex(done.stdout, rf"(?<![\w-]){re.escape(word.partition('=')[0])}(?![\w-])")

    def check_server(self, flags):
        if flags in (["--print-config"], ["--help"]):
            done = run(["server", *flags])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return
        self.check_parses(flags)
        # A pool that fits, and ports of its own.
        server = Server([*flags, "--l1-size-gb", "0.0625", "--port", "0", "--http-port", "0"])
        self.addCleanup(server.discard)
        self.assertEqual(server.stop(), 0, server.log())

    def check_bench(self, words):
        """`bench server` of BENCHED."""
        other = Server(["--l1-size-gb", "0.25"])
        self.addCleanup(other.discard)
        ours = dict(zip(BENCHED, (self.server.url, other.url)))
        words = [ours.get(word, word) for word in words]
        words[words.index("--requests") + 1] = "2"
        done = run(words)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        urls = [word for word in words if word in ours.values()]
        self.assertEqual(re.findall(r"^tcp:.*", done.stdout, re.M), urls)
        self.assertEqual("so many times as fast" in done.stdout, len(urls) == 2)
        self.assertEqual(other.stop(), 0, other.log())

    def check_command(self, words):
        command = words[0]
        ours = () if command in LOCAL or command.startswith("-") else ("--url", self.server.http)
        done = run([*words, *ours, *ARGUMENTS.get(command, ())], cwd=self.folder.name)
        self.assertIn(done.returncode, EXIT_CODES.get(command, (0,)), done.stderr)
        self.assertEqual(bool(done.stderr), done.returncode != 0, done.stderr)
        self.assertTrue(done.stdout or "--out" in words, "it said nothing")

    def check(self, text):
        words = documents.program(text)
        if text in REFUSED:
            done = run(words)
            self.assertEqual(done.returncode, 2)
            self.assertIn("is not supported", done.stderr)
        elif text in PARTS or any(PLACEHOLDER.search(word) for word in words):
            self.check_known(words)
        elif words[0] == "server":
            self.check_server(words[1:])
        elif words[:2] == ["bench", "server"] and set(BENCHED) & set(words):
            self.check_bench(words)
        else:
            self.check_command(words)

    def test_commands(self):
        done = set()
        for name in documents.for_users():
            text = documents.read(name)
            fenced = documents.fenced_commands(text)
            for command in fenced + documents.mentioned_commands(text):
                if command in done:
                    continue
                done.add(command)
                with self.subTest(command, document=name):
                    words = documents.program(command)
                    elsewhere = command in RUN_BY or command in NEEDS or command.startswith(VLLM)
                    if words and documents.words_of(command)[1:] == words and not elsewhere:
                        self.check(command)
                        continue
                    self.assertTrue(elsewhere or command not in fenced, "neither run here nor said where: RUN_BY or NEEDS")
                    if words[:1] == ["server"]:  # behind another program's name
                        self.check_parses([word for word in words[1:] if word != "..."])

    def test_what_is_run_elsewhere_is(self):
        commands = {command for name in documents.for_users() for command in documents.fenced_commands(documents.read(name))}
        self.assertEqual({*RUN_BY, *NEEDS} - commands, set(), "in no document any more")
        for command, (path, evidence) in RUN_BY.items():
            with self.subTest(command):
                self.assertIn(evidence, documents.read(path))

    def test_programs_of_the_repository_are_there(self):
        for command in {*RUN_BY, *NEEDS}:
            for word in documents.words_of(command):
                if word.startswith(("tests/", "configs/")):
                    with self.subTest(command):
                        self.assertTrue(os.path.exists(os.path.join(documents.ROOT, word)), word)

    def test_no_command_hides_in_an_indented_block(self):
        for name in documents.for_users():
            hidden = re.findall(r"^    (?:lmcache|tests/|build/|\$ ).*", documents.prose(documents.read(name)), re.M)
            self.assertEqual(hidden, [], name)


if __name__ == "__main__":
    unittest.main()
