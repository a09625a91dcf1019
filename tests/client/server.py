"""A daemon per test class, on a free port, with the flags the class asks for."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import zmq

BINARY = os.environ.get("LMCACHE_SERVER_BINARY") or os.environ.get("LMCACHE_BINARY")
if not BINARY:
    raise RuntimeError("LMCACHE_SERVER_BINARY must name the daemon's binary")
HTTP = re.compile(r"admin HTTP host=\S+ port=(\d+)")
READY = re.compile(r"LMCache zmq cache server is running on .*:(\d+)")
PATIENCE = 120  # seconds until a test gives up on something that must happen; nothing waits that long when all is well


def eventually(condition, what):
    """Polls until the condition holds and returns its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {PATIENCE} s: {what}")
        time.sleep(0.002)  # only paces the polling
    return value


def open_terminal(case):
    """Both ends of a terminal of the test's own; skips the test where there are none, as in a root folder without /dev/pts."""
    try:
        controller, terminal = pty.openpty()
    except OSError as error:
        case.skipTest(f"NO TERMINAL, nothing was tested: {error}")
    case.addCleanup(os.close, controller)
    return controller, terminal


class Server:
    """A running daemon. Its log goes to a file, which failing tests show."""

    def __init__(self, flags=(), port=0):
        handle, self.log_path = tempfile.mkstemp(prefix="lmcache-test-", suffix=".log")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LMCACHE_")}
        with os.fdopen(handle, "w") as log:
            self.process = subprocess.Popen(
                [BINARY, "server", "--port", str(port), "--http-port", "0", *flags], stdout=log, stderr=log, env=environment
            )
        self.port = int(eventually(self._ready, "the server says where it listens").group(1))
        self.url = f"tcp://localhost:{self.port}"
        http = HTTP.search(self.log())  # logged before the line that says it is ready
        self.http = f"http://127.0.0.1:{http.group(1)}" if http else None

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the server exited with {self.process.returncode}:\n{self.log()}")
        return READY.search(self.log())

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def stop(self, number=signal.SIGTERM):
        """Sends the signal and returns the exit code (negative: the signal that ended it)."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the server did not stop") from None

    def mapped(self, name):
        """Whether the daemon has the shared-memory segment of this name mapped."""
        with open(f"/proc/{self.process.pid}/maps") as maps:
            return any(name.lstrip("/") in line for line in maps)

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.unlink(self.log_path)


class ServerCase(unittest.TestCase):
    """`flags` say how the daemon of the class is started. It must end in order, with no internal failure logged."""

    flags = ()
    l1_gb = "0.25"

    @classmethod
    def setUpClass(cls):
        cls.context = zmq.Context()
        cls.server = Server(["--l1-size-gb", cls.l1_gb, *cls.flags])

    @classmethod
    def tearDownClass(cls):
        try:
            code = cls.server.stop()
            log = cls.server.log()
            if code != 0 or "cause=internal" in log:
                raise AssertionError(f"exit code {code}, log:\n{log[-6000:]}")
        finally:
            cls.server.discard()
            cls.context.destroy(linger=0)

    def run(self, result=None):
        before = len(result.failures) + len(result.errors) if result is not None else 0
        outcome = super().run(result)
        if result is not None and len(result.failures) + len(result.errors) > before:
            print(f"\n--- server log of {self.id()}\n{self.server.log()[-4000:]}---", file=sys.stderr)
        return outcome

    def connect(self, url=None):
        """A request client of the published package with a connection of its own.

        And with a context of its own: within one, libzmq may still hold the name of a closed socket's monitor when the next socket
        gets the same file descriptor, from which pyzmq makes that name.
        """
        from kvclient import connect

        context = zmq.Context()
        self.addCleanup(context.destroy, 0)
        client = connect(url or self.server.url, context)
        self.addCleanup(client.close)
        return client
