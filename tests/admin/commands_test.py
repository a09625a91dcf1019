"""`lmcache ping`, `describe`, `status`, `top`, `kvcache` and `quota` of the daemon's own binary, beside the published ones where there are such."""

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

from admin import PATIENCE, AdminCase, Server, TokenCase, eventually
from kvclient import Engine, deepseek_v4, dense, tokens, unique
from server import BINARY, open_terminal


def lmcache(*args):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=PATIENCE)


def published(*args):
    start = "import sys; from lmcache.cli.main import main; sys.exit(main())"
    return subprocess.run([sys.executable, "-c", start, *args], capture_output=True, text=True, timeout=PATIENCE)


@contextlib.contextmanager
def answering(bodies):
    """The URL of a server that has these answers by path."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path in bodies else 404)
            self.end_headers()
            self.wfile.write(json.dumps(bodies.get(self.path)).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Commands(AdminCase):
    flags = ("--eviction-policy", "IsolatedLRU")  # it keeps quotas

    def report(self, *args, program=lmcache):
        done = program(*args, "--url", self.server.http, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def fails(self, code, *args):
        done = lmcache(*args)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith(f"lmcache {args[0]}: "), done.stderr)
        return done

    def test_ping(self):
        report = self.report("ping", "kvcache")
        self.assertEqual((report["title"], report["metrics"]["status"]), ("Ping KV Cache", "OK"))
        self.assertGreater(report["metrics"]["round_trip_time_ms"], 0)
        table = lmcache("ping", "kvcache", "--url", self.server.http.removeprefix("http://"))
        self.assertEqual(table.returncode, 0)
        self.assertRegex(table.stdout, r"(?m)^Status: +OK$")

    def test_ping_engine(self):
        with answering({"/health": {}}) as url:
            done = lmcache("ping", "engine", "--url", url)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("Ping Engine", done.stdout)

    def test_describe_says_what_the_published_one_says(self):
        engine = Engine(self.connect(), deepseek_v4(), 1024).register()
        self.addCleanup(engine.close)
        self.assertTrue(engine.store(tokens(1024), unique("store")))
        ours, theirs = (self.report("describe", "kvcache", program=p) for p in (lmcache, published))
        for group in ours["metrics"]["kernel_groups"]:  # two fields more
            self.assertEqual((type(group.pop("window_tokens")), type(group.pop("row_bytes"))), (int, int))
        self.assertEqual(ours, theirs)
        table = lmcache("describe", "kvcache", "--url", self.server.http).stdout
        for text in ("Kernel group 7", engine.model, "torch.uint8"):
            self.assertIn(text, table)
        engine.unregister()

    def test_status(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        self.assertTrue(engine.store(tokens(1024), unique("store")))
        done = lmcache("status", "--url", self.server.http, "--format", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        ours, truth = json.loads(done.stdout), self.http().get("/status").json
        self.assertEqual(ours.keys(), truth.keys())
        self.assertEqual(ours["cache_context_meta"], truth["cache_context_meta"])
        table = lmcache("status", "--url", self.server.http).stdout
        for pattern in (r"(?m)^Health: +OK$", r"(?m)^Model: +" + engine.model, r"(?m)^Size: +\S+ [MG]iB$", r"(?m)^Eviction policy: +IsolatedLRU$"):
            self.assertRegex(table, pattern)
        engine.unregister()

    def test_status_of_an_unwell_server(self):
        with answering({"/status": {"is_healthy": False, "gpus": [{"uuid": "u", "is_healthy": False, "error": "lost"}]}}) as url:
            done = self.fails(1, "status", "--url", url)
            self.assertRegex(done.stdout, r"(?m)^Health: +UNHEALTHY$")
            self.assertRegex(done.stdout, r"(?m)^Health: +lost$")

    def test_top_says_what_happens_while_it_looks(self):
        engine = Engine(self.connect(), [dense()], 2048).register()
        done = []
        looking = threading.Thread(target=lambda: done.append(
            lmcache("top", "--url", self.server.http, "--format", "json", "--interval-seconds", "0.3", "--iterations", "12")))
        looking.start()
        stores = 0
        while looking.is_alive():
            toks = tokens(512)
            self.assertTrue(engine.store(toks, unique("store")))
            stores += 1
            self.assertEqual(engine.hit(toks), 2)
        looking.join()
        self.assertEqual((done[0].returncode, done[0].stderr), (0, ""))
        reports = [json.loads(line) for line in done[0].stdout.splitlines()]
        self.assertEqual(len(reports), 12)
        for report in reports:
            self.assertEqual(report["l1"]["total_bytes"], 256 << 20)
            self.assertEqual(sum(report["l1"][state + "_bytes"] for state in ("pinned", "resident", "reserved", "free")), 256 << 20)
            self.assertGreater(report["seconds"], 0.2)
            self.assertLessEqual(report["hit_ratio"] or 0, 1)
        for report in reports:
            for operation in report["operations"]:
                self.assertGreater(operation["per_second"], 0)
        self.assertTrue(any(report["stored_gb_per_second"] > 0 for report in reports))
        self.assertIn("lookup", {o["operation"] for report in reports for o in report["operations"]})
        engines = [(report["seconds"], e) for report in reports for e in report["engines"]]
        self.assertEqual({(e["engine_id"], e["model"]) for _, e in engines}, {(str(engine.instance), engine.model)})
        # Its speed is bytes of the interval by its length: whole stores, of those that were made.
        told = sum(seconds * e["store_gb_per_second"] for seconds, e in engines) * 1e9 / (512 * 2 * 2 * 2 * 64 * 2)
        self.assertAlmostEqual(told, round(told), places=5)
        self.assertTrue(0 < round(told) <= stores, (told, stores))
        self.assertEqual({e["retrieve_gb_per_second"] for _, e in engines}, {0})
        engine.unregister()

    def test_top_in_a_pipe_is_plain_text(self):
        done = lmcache("top", "--once", "--url", self.server.http, "--interval-seconds", "0.1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn("\x1b", done.stdout)
        self.assertRegex(done.stdout, rf"^{self.server.http}  OK\nL1 256.0 MiB, IsolatedLRU  \[")

    def test_top_on_a_terminal_is_drawn_in_place_and_gives_it_back(self):
        controller, terminal = open_terminal(self)
        process = subprocess.Popen([BINARY, "top", "--url", self.server.http, "--interval-seconds", "0.1"], stdout=terminal,
                                   stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})
        os.close(terminal)
        shown = b""
        while shown.count(b"\x1b[H") < 3:
            shown += os.read(controller, 65536)
        process.send_signal(signal.SIGINT)
        self.assertEqual((process.communicate(timeout=PATIENCE)[1], process.returncode), (b"", 0))
        try:
            while data := os.read(controller, 65536):
                shown += data
        except OSError:
            pass  # nobody has the terminal open any more
        self.assertTrue(shown.startswith(b"\x1b[?1049h\x1b[?25l"), shown[:40])
        self.assertTrue(shown.endswith(b"\x1b[?25h\x1b[?1049l"), shown[-40:])

    def test_top_of_nonsense(self):
        with answering({"/status": {}, "/metrics": "no metrics"}) as url:
            self.assertIn("line 1 of the metrics is not a sample", self.fails(1, "top", "--once", "--url", url).stderr)

    def test_kvcache(self):
        engine = Engine(self.connect(), [dense()], 2048, salt="team-a").register()
        toks = tokens(1024)
        self.assertTrue(engine.store(toks, unique("store")))
        listed = self.report("kvcache", "list", "--model", engine.model)["metrics"]
        self.assertEqual(len({o["chunk_hash_hex"] for o in listed["objects"]}), 4)
        self.assertEqual({o["cache_salt"] for o in listed["objects"]}, {"team-a"})
        self.assertNotIn("cut_at_limit", listed)
        self.assertNotIn("cut_at_limit", self.report("kvcache", "list", "--model", engine.model, "--limit", "4")["metrics"])
        cut = self.report("kvcache", "list", "--model", engine.model, "--limit", "3")["metrics"]
        self.assertEqual((len(cut["objects"]), cut["cut_at_limit"]), (3, 3))
        table = lmcache("kvcache", "list", "--model", engine.model, "--limit", "3", "--url", self.server.http).stdout
        self.assertRegex(table, r"(?m)^There are more; cut at --limit: +3$")
        self.assertRegex(table, r"(?m)^Cache salt: +team-a$")
        rid = unique("lookup")
        self.assertEqual(engine.lookup(toks[:256], rid), 1)
        self.assertEqual(self.report("kvcache", "clear")["metrics"], {"status": "OK"})
        self.assertEqual(engine.hit(toks), 1)
        self.report("kvcache", "clear", "--force")
        self.assertEqual(engine.hit(toks), 0)
        engine.end(rid)
        engine.unregister()
        self.assertEqual(self.report("kvcache", "list")["metrics"], {"info": "Nothing is cached"})

    def test_kvcache_list_takes_numbers_of_64_bits(self):
        entry = {"key": {"chunk_hash_hex": "00", "model_name": "m", "kv_rank": 0x80010000, "object_group_id": 0}, "size_bytes": 1 << 40}
        with answering({"/cache/objects?tier=l1&page_size=1&page_token=": {"entries": [entry]}}) as url:
            done = lmcache("kvcache", "list", "--limit", "1", "--url", url, "--format", "json")
        listed, = json.loads(done.stdout)["metrics"]["objects"]
        self.assertEqual((listed["kv_rank"], listed["size_bytes"]), (0x80010000, 1 << 40))

    def test_quota(self):
        def quota(*args):
            return self.report("quota", *args)["metrics"]

        self.assertEqual(quota("list"), {"info": "No quotas configured"})
        self.assertEqual(quota("set", "a b/c", "--limit-gb", "1.5"), {"cache_salt": "a b/c", "limit_gb": 1.5, "status": "ok"})
        self.assertEqual(quota("set", "", "--limit-gb", "0.5"), {"cache_salt": "_default", "limit_gb": 0.5, "status": "ok"})
        self.assertEqual(quota("get", "a b/c"), {"cache_salt": "a b/c", "limit_gb": 1.5, "current_usage_gb": 0, "exists": True})
        self.assertEqual([(q["cache_salt"], q["limit_gb"]) for q in quota("list")["quotas"]], [("_default", 0.5), ("a b/c", 1.5)])
        for salt in ("a b/c", ""):
            self.assertEqual(quota("delete", salt)["status"], "removed")
            self.assertEqual(quota("delete", salt)["status"], "not_found")
        self.assertFalse(quota("get", "a b/c")["exists"])
        eventually(lambda: self.server.log().count("a limit was removed over HTTP\n") == 2, "both are logged")
        self.assertIn("a limit was set over HTTP limit_gb=1.5\n", self.server.log())
        self.assertNotIn("a b/c", self.server.log())

    def test_a_quota_that_the_servers_policy_does_not_enforce(self):
        server = Server(["--l1-size-gb", "0.0625", "--eviction-policy", "LRU"])
        self.addCleanup(server.discard)
        done = lmcache("quota", "set", "a", "--limit-gb", "1", "--url", server.http)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"Warning: +not enforced by --eviction-policy LRU; IsolatedLRU does")
        eventually(lambda: "a limit was set that nothing enforces" in server.log(), "it is logged")
        self.assertEqual(server.stop(), 0)

    def test_quota_passes_the_servers_words_on(self):
        refused = self.fails(1, "quota", "set", "a", "--limit-gb", "1e9", "--url", self.server.http)
        self.assertIn("limit_gb must be at most 1048576", refused.stderr)

    def test_doctor(self):
        ports = ("--port", str(self.server.port), "--http-port", self.server.http.rsplit(":", 1)[1])
        done = lmcache("doctor", "--url", self.server.http, "--format", "json", "--l1-size-gb", "0.01", *ports)
        checks = {check["name"]: check for check in json.loads(done.stdout)["metrics"]["checks"]}
        self.assertEqual(set(checks), {"memory", "memlock", "open_files", "hugepages", "shared_memory", "ipc_namespace", "gpus",
                                       "numa", "request_port", "http_port", "running_server"})
        for name in ("request_port", "http_port"):
            self.assertEqual((checks[name]["status"], "a server answers" in checks[name]["found"]), ("ok", True))
        self.assertEqual(checks["running_server"]["found"], "version " + self.http().get("/version").json)
        self.assertEqual(done.returncode, int(any(check["status"] == "FAIL" for check in checks.values())))
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        with answering({"/healthcheck": {"status": "UP"}}) as url:  # another kind of server
            other = self.fails(1, "doctor", "--url", url, "--http-port", url.rsplit(":", 1)[1], "--l1-size-gb", "0.01")
        self.assertRegex(other.stdout, r"(?m)^FAIL  http_port ")
        self.assertRegex(other.stdout, r"(?m)^warn  running_server +something else answers: no version at ")
        foreign = self.fails(1, "doctor", "--url", self.server.http, "--port", str(port), "--l1-size-gb", "0.01")
        self.assertRegex(foreign.stdout, rf"(?m)^FAIL  request_port +{port} is in use$")
        done = self.fails(1, "doctor", "--url", "http://127.0.0.1:1", "--port", str(port), "--l1-size-gb", "65536")
        self.assertRegex(done.stdout, rf"(?m)^FAIL  request_port +{port} is in use\n +see who has it with .* another --port$")
        self.assertRegex(done.stdout, r"(?m)^FAIL  memory ")
        self.assertRegex(done.stderr, r"failed: .*memory.*request_port")

    def test_doctor_of_a_server_that_hangs(self):
        ports = ("--port", str(self.server.port), "--http-port", self.server.http.rsplit(":", 1)[1])
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            done = self.fails(1, "doctor", "--url", self.server.http, "--timeout-seconds", "0.5", "--l1-size-gb", "0.01", *ports)
        finally:
            self.server.process.send_signal(signal.SIGCONT)
        self.assertRegex(done.stdout, r"(?m)^FAIL  running_server +does not answer: no answer in time from http")
        for name in ("request_port", "http_port"):
            self.assertRegex(done.stdout, rf"(?m)^warn  {name} .*maybe by the server that does not answer$")

    def test_doctor_of_something_else(self):
        def found(url):
            return lmcache("doctor", "--url", url, "--port", "0", "--http-port", "0", "--l1-size-gb", "0.01").stdout

        with answering({}) as url:
            self.assertRegex(found(url), rf"(?m)^warn  running_server +something else answers: HTTP 404 from {url}/healthcheck$")
        self.assertRegex(found(f"http://127.0.0.1:{self.server.port}"), r"(?m)^warn  running_server +something else answers: no HTTP")
        self.assertRegex(found("http://127.0.0.1:1"), r"(?m)^ok    running_server +none$")
        self.assertRegex(found("unix:/nonexistent/x"), r"(?m)^ok    running_server +none$")

    def test_doctor_of_a_server_without_http(self):
        server = Server(["--l1-size-gb", "0.0625", "--no-http"])
        self.addCleanup(server.discard)
        done = lmcache("doctor", "--url", "http://127.0.0.1:1", "--port", str(server.port), "--http-port", "0", "--l1-size-gb", "0.01")
        self.assertRegex(done.stdout, rf"(?m)^ok    request_port +{server.port} is in use, a server answers$")
        self.assertRegex(done.stdout, rf"(?m)^ok    running_server +at {server.port}, without admin HTTP")
        self.assertEqual(server.stop(), 0)

    def test_output_that_cannot_be_written_is_a_failure(self):
        for args in (("status", "--format", "json"), ("kvcache", "list"), ("describe", "kvcache"),
                     ("top", "--once", "--interval-seconds", "0.1"), ("top", "--iterations", "0", "--interval-seconds", "0.1")):
            with open("/dev/full", "w") as full:
                done = subprocess.run([BINARY, *args, "--url", self.server.http], stdout=full, stderr=subprocess.PIPE, text=True,
                                      timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), args)
            self.assertIn("cannot write to stdout", done.stderr)

    def test_quiet_and_output(self):
        with tempfile.NamedTemporaryFile("r") as file:
            done = lmcache("ping", "kvcache", "--url", self.server.http, "-q", "--format", "json", "--output", file.name)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            self.assertEqual(json.load(file)["metrics"]["status"], "OK")
        self.fails(1, "ping", "kvcache", "--url", self.server.http, "-q", "--output", "/nonexistent/x")

    def test_mistakes(self):
        for args in (("ping",), ("ping", "x"), ("describe", "engine"), ("kvcache",), ("kvcache", "drop"), ("kvcache", "list", "--limit", "0"),
                     ("kvcache", "list", "--limit", "-1"), ("quota", "set", "a"),
                     ("quota", "set", "a", "--limit-gb", "-1"), ("ping", "kvcache", "--format", "xml"), ("ping", "kvcache", "x"),
                     ("ping", "kvcache", "--url", "https://h:1"), ("ping", "kvcache", "--url", "http://h:x"),
                     ("ping", "kvcache", "--url", "http://h/p"), ("ping", "kvcache", "--url", "http://h:65536"),
                     ("doctor", "--port", "70000"), ("doctor", "--http-port", "70000"), ("ping", "kvcache", "--url", "unix:"),
                     ("ping", "kvcache", "--timeout-seconds", "0"), ("status", "x"), ("top", "--interval-seconds", "0"),
                     ("top", "--iterations", "x"), ("top", "-q"), ("ping", "kvcache", "--token-file", "/nonexistent/x")):
            self.assertEqual(self.fails(2, *args).stdout, "", args)
        for text, *args in (("unknown command 'drop'; one of clear, list", "kvcache", "drop"),
                            ("unknown flag --rounds", "top", "--rounds", "1"),
                            ("--url: '' is not allowed; allowed: http://HOST:PORT", "status", "--url", ""),
                            ("--port: Value 70000 not in range 0 to 65535", "doctor", "--port", "70000"),
                            *((f"--limit-gb: '{limit}' is not allowed; allowed: a number, 0 or more", "quota", "set", "a", "--limit-gb", limit)
                              for limit in ("-1", "abc", "inf", "nan", "1x", ""))):
            self.assertIn(text, self.fails(2, *args).stderr)

    def test_help(self):
        for args in (("ping", "--help"), ("kvcache", "--help"), ("kvcache", "clear", "--help")):
            done = lmcache(*args)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("--help", done.stdout)
        self.assertIn("lmcache describe kvcache", lmcache("--help").stdout)

    def test_a_server_that_is_not_there(self):
        free = socket.socket()
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = self.fails(1, "ping", "kvcache", "--url", url, "--format", "json")
        self.assertEqual(json.loads(done.stdout)["metrics"]["status"], "FAIL")
        self.assertIn("cannot connect to " + url, done.stderr)
        self.assertIn("cannot connect to " + url, self.fails(1, "kvcache", "clear", "--url", url).stderr)
        free.close()

    def test_a_server_that_never_answers(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        self.assertIn("no answer in time", self.fails(1, "ping", "kvcache", "--url", url, "--timeout-seconds", "0.2").stderr)

    def test_a_server_that_talks_nonsense(self):
        for answer in (b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{\x1b[3", b""):
            with self.subTest(answer):
                listener = socket.create_server(("127.0.0.1", 0))
                self.addCleanup(listener.close)

                def serve(listener=listener, answer=answer):
                    connection, _ = listener.accept()
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.close()

                thread = threading.Thread(target=serve)
                thread.start()
                done = self.fails(1, "describe", "kvcache", "--url", f"http://127.0.0.1:{listener.getsockname()[1]}")
                thread.join()
                self.assertNotIn("\x1b", done.stderr)


class Locked(TokenCase):
    """A server that asks for a token, on a unix socket alone."""

    flags = ("--no-http-tcp",)

    def test_the_token_opens_it(self):
        url = ("--url", "unix:" + self.http_socket)
        self.assertEqual(lmcache("ping", "kvcache", *url).returncode, 0)
        refused = lmcache("describe", "kvcache", *url)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("a bearer token is required", refused.stderr)
        self.assertEqual(lmcache("describe", "kvcache", *url, "--token-file", self.token_file).returncode, 0)

    def test_a_token_file_of_something_else(self):
        with tempfile.NamedTemporaryFile() as file:
            for content in (b"", b"\n", b"two words\n", b"\x00\xff\n"):
                file.seek(0)
                file.truncate()
                file.write(content)
                file.flush()
                done = lmcache("status", "--url", "unix:" + self.http_socket, "--token-file", file.name)
                self.assertEqual((done.returncode, done.stdout), (2, ""), content)
                self.assertIn("it must be a readable file with one line", done.stderr)

    def test_doctor_asks_for_the_token(self):
        doctor = ("doctor", "--url", "unix:" + self.http_socket, "--port", str(self.server.port), "--l1-size-gb", "0.01")
        without = lmcache(*doctor).stdout
        self.assertRegex(without, r"(?m)^warn  running_server .*token\n +give --token-file")
        self.assertNotIn("restart the server", without)
        for text in (without, lmcache(*doctor, "--token-file", self.token_file).stdout):
            self.assertRegex(text, r"(?m)^ok    request_port +\d+ is in use, a server answers$")


if __name__ == "__main__":
    unittest.main()
