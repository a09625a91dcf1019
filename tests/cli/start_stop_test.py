"""Starting and stopping the real binary: logs, sockets, and failures that are not the command line's fault."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmcache_cli import BINARY, HTTP, READY, Server, clean_environment, run, wait_for_line


class StartStop(unittest.TestCase):
    def assert_start_fails(self, result, *words):
        self.assertEqual(result.returncode, 1, result)
        last = result.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("lmcache server: "), result.stderr)
        for word in words:
            self.assertIn(word, last)

    def test_stops_in_order_on_sigterm_and_sigint(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server() as server:
                self.assertEqual(server.stop(number), (0, ""))

    def test_text_log(self):
        with Server() as server:
            server.stop()
            for line in server.lines:
                self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO |WARN |ERROR) \S")

    def test_json_log(self):
        with Server("--log-format", "json") as server:
            server.stop()
            events = [json.loads(line) for line in server.lines]
            self.assertTrue(all({"ts", "level", "msg"} <= event.keys() for event in events))
            self.assertTrue(any(READY.search(event["msg"]) for event in events))

    def test_log_level(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            result_of = lambda **environment: Server(
                "--host", "0.0.0.0", "--request-socket", path, wait=re.compile("no authentication"), **environment
            )
            with result_of(LMCACHE_LOG_LEVEL="WARNING") as server:
                server.stop()
                self.assertFalse([line for line in server.lines if " INFO " in line])

    def test_only_a_host_that_others_reach_is_warned_of(self):
        with Server("--host", "0.0.0.0") as server:
            self.assertTrue([line for line in server.lines if " WARN " in line and "no authentication" in line])
        with Server("--host", "127.0.0.1") as server:
            self.assertFalse([line for line in server.lines if "no authentication" in line])

    def test_it_is_warned_of_at_every_log_level(self):
        for flag in ("--host", "--http-host"):
            with Server(flag, "0.0.0.0", "--log-level", "error", wait=re.compile(" WARN .*whoever reaches this address")) as server:
                server.stop()
                self.assertEqual(len(server.lines), 1, server.lines)

    @unittest.skipUnless(os.path.exists("/proc/net/if_inet6"), "NO IPv6, nothing was tested")
    def test_an_address_may_stand_in_brackets(self):
        with Server("--host", "[::1]", "--http-host", "[::1]") as server:
            self.assertEqual(server.match.group(1), "[::1]")
            self.assertFalse([line for line in server.lines if " WARN " in line])

    def test_unix_socket_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "lmcache.sock")
            with Server("--no-tcp", "--request-socket", path, wait=re.compile("unix socket")) as server:
                mode = os.stat(path).st_mode
                self.assertTrue(stat.S_ISSOCK(mode))
                self.assertEqual(stat.S_IMODE(mode), 0o660)
                self.assertFalse([line for line in server.lines if READY.search(line)])

    def test_a_log_file_is_opened_anew_on_sighup(self):
        with tempfile.TemporaryDirectory() as folder:
            path, moved = os.path.join(folder, "log"), os.path.join(folder, "log.1")
            process = subprocess.Popen(
                [BINARY, "server", "--port", "0", "--http-port", "0", "--l1-size-gb", "0.0625", "--log-file", path],
                env=clean_environment(), stderr=subprocess.PIPE, text=True)
            try:
                wait_for_line(path, READY.pattern)
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode) & 0o137, 0)
                os.rename(path, moved)
                process.send_signal(signal.SIGHUP)
                wait_for_line(path, "log opened anew")
                process.terminate()
                self.assertEqual(process.communicate(timeout=60)[1], "")
                self.assertEqual(process.returncode, 0)
                with open(path) as new, open(moved) as old:
                    self.assertTrue(new.read().endswith("stopped\n"))
                    self.assertNotIn("opened anew", old.read())
            finally:
                process.kill()

    def test_sighup_without_a_log_file_changes_nothing(self):
        with Server() as server:
            server.process.send_signal(signal.SIGHUP)
            self.assertEqual(server.stop(), (0, ""))
            self.assertFalse([line for line in server.lines if "opened anew" in line])
            self.assertTrue([line for line in server.lines if "SIGHUP: there is no --log-file to open anew" in line])

    def test_a_token_that_cannot_be_used_is_wrong_usage(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("short\n")
            file.flush()
            for path, text in ((file.name, "16 to 4096 printable characters"), ("/nonexistent/token", "cannot read a token")):
                done = run("server", "--port", "0", "--http-port", "0", "--http-token-file", path)
                self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done)
                self.assertTrue(done.stderr.startswith("lmcache server: "), done.stderr)
                self.assertIn(text, done.stderr)

    def test_a_log_file_that_cannot_be_opened_says_what_to_do(self):
        self.assert_start_fails(run("server", "--log-file", "/nonexistent/log"), "--log-file", "folder must exist")

    def test_config_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write('host = "127.0.0.1"\nlog-format = "json"\n')
            file.flush()
            with Server("--config", file.name, wait=re.compile(r'running on (127\.0\.0\.1):(\d+)"')):
                pass

    def test_a_busy_port_says_what_to_do(self):
        with Server() as server:
            port = server.match.group(2)
            self.assert_start_fails(run("server", "--port", port, "--no-http", "--l1-size-gb", "0.0625"), port, "--port")

    def test_a_busy_http_port_says_what_to_do(self):
        with Server(wait=HTTP) as server:
            port = server.match.group(1)
            busy = run("server", "--port", "0", "--http-port", port, "--l1-size-gb", "0.0625")
            self.assert_start_fails(busy, port, "in use", "choose another --http-port")

    def test_without_http_no_port_is_bound(self):
        with Server("--no-http") as server:
            self.assertFalse([line for line in server.lines if "HTTP" in line])

    def test_only_an_http_host_that_others_reach_is_warned_of(self):
        with Server("--http-host", "0.0.0.0") as server:
            self.assertTrue([line for line in server.lines if " WARN " in line and "no token" in line])
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("0123456789abcdef\n")
            file.flush()
            with Server("--http-host", "0.0.0.0", "--http-token-file", file.name) as server:
                self.assertFalse([line for line in server.lines if "no token" in line])

    def test_an_l1_larger_than_the_machine_says_what_to_do(self):
        self.assert_start_fails(run("server", "--port", "0", "--http-port", "0", "--l1-size-gb", "65536"), "--l1-size-gb")


if __name__ == "__main__":
    unittest.main()
