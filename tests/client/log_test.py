"""A log that nobody reads: requests are answered all the same, no line is lost without a word, and the server ends."""

import fcntl
import os
import re
import signal
import subprocess
import time
import unittest

import zmq
from rawpeer import RawPeer
from server import BINARY, PATIENCE, READY, eventually

NOOP = 24
FILLER = b"-" * 99 + b"\n"


class UnreadLog(unittest.TestCase):
    """A server whose stderr is a small pipe, read until the server is ready and filled to the brim then."""

    def setUp(self):
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LMCACHE_")}
        self.process = subprocess.Popen(
            [BINARY, "server", "--port", "0", "--no-http", "--l1-size-gb", "0.0625", "--shutdown-timeout-seconds", "5"],
            stderr=writing, env=environment)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.text = ""
        ready = eventually(lambda: self.read_some() and READY.search(self.text), "the server is ready")
        self.fill(writing)
        os.close(writing)
        self.peers = []
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, linger=0)
        self.url = f"tcp://localhost:{ready.group(1)}"

    def read_some(self):
        data = os.read(self.reading, 65536)
        self.text += data.decode()
        return data

    @staticmethod
    def fill(writing):
        own = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)  # the server's stays blocking
        for size in (len(FILLER), 1):
            try:
                while True:
                    os.write(own, FILLER[-size:])
            except BlockingIOError:
                pass
        os.close(own)

    def connect(self):
        self.peers.append(RawPeer(self.url, self.context))
        self.addCleanup(self.peers[-1].close)
        return self.peers[-1]

    def fail_requests(self):
        """One of each operation, each from a connection of its own, so that every I/O thread has something to log. None is waited for."""
        for operation in range(40):
            self.connect().send(b"\x01", bytes([operation]), b"\xc1")

    def answer_time(self):
        start = time.monotonic()
        peer = self.connect()
        peer.send(b"\x01", bytes([NOOP]))
        self.assertTrue(peer.socket.poll(10_000), "no answer")
        return time.monotonic() - start

    def test_requests_are_answered_and_the_lines_come_later(self):
        self.fail_requests()
        for _ in range(20):
            self.assertLess(self.answer_time(), 5)
        self.process.send_signal(signal.SIGTERM)
        while self.read_some():
            pass
        self.assertEqual(self.process.wait(PATIENCE), 0)
        self.assertRegex(self.text, r"request failed operation=\w+ cause=malformed")
        self.assertRegex(self.text.splitlines()[-1], r" INFO  stopped$")
        torn = [line for line in self.text.splitlines() if line and not re.match(r"\d{4}-\d\d-\d\dT\S+ (INFO|WARN|ERROR)|-+$", line)]
        self.assertEqual(torn, [])

    def test_the_server_ends_all_the_same(self):
        self.fail_requests()
        self.assertLess(self.answer_time(), 5)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
