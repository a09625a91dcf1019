"""Runs the built binary for the tests of this folder. The binary is named by LMCACHE_BINARY."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

BINARY = os.environ["LMCACHE_BINARY"]
HTTP = re.compile(r"admin HTTP host=\S+ port=(\d+)")
READY = re.compile(r"LMCache zmq cache server is running on (.*):(\d+)")


def clean_environment(**extra):
    """The environment without any LMCACHE_* setting of whoever runs the tests."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LMCACHE_")}
    environment.update(extra)
    return environment


def run(*args, **environment):
    """Runs to the end; for what is expected to end by itself."""
    return subprocess.run([BINARY, *args], env=clean_environment(**environment), capture_output=True, text=True, timeout=60)


def wait_for_line(path, pattern):
    """Until the file has a line with the pattern; fails after a minute."""
    deadline = time.monotonic() + 60
    while not (os.path.exists(path) and re.search(pattern, pathlib.Path(path).read_text())):
        if time.monotonic() > deadline:
            raise AssertionError(f"no {pattern} in {path}")
        time.sleep(0.005)  # only paces the polling


class Server:
    """A running server on a free port, stopped with SIGTERM when the block ends."""

    def __init__(self, *args, wait=READY, **environment):
        self.command = [BINARY, "server", "--port", "0", "--http-port", "0", "--l1-size-gb", "0.0625", *args]
        self.descriptors = ()  # that it gets beside the standard ones
        self.environment = clean_environment(**environment)
        self.wait = wait
        self.lines = []
        self.match = None
        self._ready = threading.Event()

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, env=self.environment, pass_fds=self.descriptors, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        if not self._ready.wait(30) or self.match is None:
            self.stop()
            raise AssertionError("not ready: " + "".join(self.lines))
        return self

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            match = self.wait.search(line)
            if match and not self.match:
                self.match = match
                self._ready.set()
        self._ready.set()

    def stop(self, signal_number=signal.SIGTERM):
        """Sends the signal and returns (exit code, stdout)."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        out = self.process.stdout.read()
        code = self.process.wait(60)
        self._reader.join()
        return code, out

    def __exit__(self, *_):
        self.stop()
        self.process.stdout.close()
        self.process.stderr.close()
