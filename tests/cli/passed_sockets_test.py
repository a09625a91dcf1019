"""Socket activation without systemd: this process opens the sockets and passes them as systemd would."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmcache_cli import READY, Server

GREETING = b"\xff" + bytes(8) + b"\x7f\x03"  # how a ZMTP 3 peer begins
PATIENCE = 60


def listener(family=socket.AF_INET, address=("127.0.0.1", 0)):
    out = socket.socket(family)
    out.bind(address)
    out.listen()
    return out


class Passed(Server):
    """A server with `sockets` from descriptor 3 on; LISTEN_FDS and the names go with them unless `environment` says otherwise."""

    def __init__(self, sockets, *args, names=None, wait=READY, **environment):
        if names is not None:
            environment["LISTEN_FDNAMES"] = ":".join(names)
        super().__init__(*args, wait=wait, **{"LISTEN_FDS": str(len(sockets)), **environment})
        # Copies out of the way of 3 and on, where bash puts them; only the process that becomes the server knows its own id.
        self.descriptors = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 10) for s in sockets]
        moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(self.descriptors))
        self.command = ["bash", "-c", f'export LISTEN_PID=$$; exec "$0" "$@" {moves}', *self.command]

    def fails(self):
        """The only line of a server that must not start."""
        done = subprocess.run(self.command, env=self.environment, pass_fds=self.descriptors, capture_output=True, text=True,
                              timeout=PATIENCE)
        self.close()
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
        return done.stderr

    def close(self):
        for fd in self.descriptors:
            os.close(fd)

    def __exit__(self, *error):
        super().__exit__(*error)
        self.close()


class PassedSockets(unittest.TestCase):
    def keep(self, closable):
        self.addCleanup(closable.close)
        return closable

    def greeted(self, connection):
        """Whether a server greets on it; the connection may have been made before there was one."""
        connection.settimeout(PATIENCE)
        connection.sendall(GREETING)
        return connection.recv(10).startswith(b"\xff")

    def test_no_connection_attempt_is_lost_while_it_restarts(self):
        door = self.keep(listener())
        for _ in range(2):
            early = self.keep(socket.create_connection(door.getsockname()))  # nobody is there to accept it
            with Passed([door]) as server:
                self.assertEqual(int(server.match.group(2)), door.getsockname()[1])
                self.assertEqual(server.match.group(1), "127.0.0.1")
                self.assertTrue(self.greeted(early))
                self.assertEqual(server.stop(signal.SIGTERM), (0, ""))

    def test_http_has_a_socket_of_its_own(self):
        requests, http = self.keep(listener()), self.keep(listener())
        with Passed([requests, http], names=["request", "http"]) as server:
            port = http.getsockname()[1]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=PATIENCE) as answer:
                config = json.load(answer)
            self.assertEqual((config["mp"]["port"], config["http"]["http_port"]), (requests.getsockname()[1], port))
            self.assertTrue([line for line in server.lines if "request=1 http=1" in line])

    def test_a_unix_socket_stays_with_whoever_made_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.sock")
            door = self.keep(listener(socket.AF_UNIX, path))
            with Passed([door], names=["lmcache.socket"], wait=re.compile("unix socket path=" + path)) as server:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(path)
                    self.assertTrue(self.greeted(connection))
                self.assertEqual(server.stop(), (0, ""))
            self.assertTrue(os.path.exists(path))

    @unittest.skipIf(shutil.which("systemd-socket-activate") is None, "systemd-socket-activate is not installed")
    def test_as_systemds_own_launcher_passes_them(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.sock")
            launcher = subprocess.Popen(["systemd-socket-activate", "--listen=" + path, "--fdname=request", *Server().command],
                                        stderr=subprocess.PIPE, text=True)
            self.addCleanup(launcher.kill)
            self.keep(launcher.stderr)
            connection = self.keep(socket.socket(socket.AF_UNIX))
            deadline = time.monotonic() + PATIENCE
            while connection.connect_ex(path) != 0:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.005)  # only paces the polling
            self.assertTrue(self.greeted(connection))
            self.assertTrue(any("unix socket path=" + path in line for line in launcher.stderr))  # ready, and its signals are set up
            launcher.terminate()
            self.assertEqual(launcher.wait(PATIENCE), 0)

    def test_an_address_that_others_reach_is_warned_of(self):
        with Passed([self.keep(listener(address=("0.0.0.0", 0)))]) as server:
            self.assertTrue([line for line in server.lines if " WARN " in line and "no authentication" in line])

    def test_what_is_meant_for_another_process_is_not_touched(self):
        with Server(LISTEN_PID="1", LISTEN_FDS="1") as server:
            self.assertFalse([line for line in server.lines if "service manager" in line])

    def test_what_is_no_listening_socket_is_refused(self):
        datagrams = self.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent = self.keep(socket.socket())
        door = self.keep(listener())
        connected = self.keep(socket.create_connection(door.getsockname()))
        file = self.keep(tempfile.TemporaryFile())
        packets = self.keep(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        for wrong, why in ((datagrams, "is no stream socket"), (silent, "does not listen"), (connected, "does not listen"),
                           (file, "is no socket"), (packets, "is no stream socket")):
            line = Passed([door, wrong], names=["request", "http"]).fails()
            self.assertIn("socket activation: descriptor 4, named 'http', " + why, line)
            self.assertIn("ListenStream=", line)
        self.assertIn("descriptor 4, named 'unknown', is not open", Passed([door], LISTEN_FDS="2").fails())

    def test_variables_that_make_no_sense_are_refused(self):
        door = self.keep(listener())
        for count in ("", "0", "-1", "65", "2000000000", "1x", "99999999999999999999"):
            self.assertIn(f"$LISTEN_FDS is '{count}'", Passed([door], LISTEN_FDS=count).fails())
        self.assertIn("has 2 names", Passed([door], names=["request", "http"]).fails())
        for name in ("metrics", "connection", "a\nb"):
            self.assertIn("must be 'request' or 'http'", Passed([door], names=[name]).fails())

    def test_flags_that_contradict_are_refused(self):
        door = self.keep(listener())
        self.assertIn("--no-http", Passed([door], "--no-http", names=["http"]).fails())
        self.assertIn("--request-socket has no say", Passed([door], "--request-socket", "/run/x.sock").fails())
        self.assertIn("--http-socket has no say", Passed([door], "--http-socket", "/run/x.sock", names=["http"]).fails())


if __name__ == "__main__":
    unittest.main()
