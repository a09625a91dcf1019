"""Signals that come before the server serves. A FIFO in place of a file holds its start at a known point."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lmcache_cli import BINARY, READY, clean_environment, wait_for_line


class EarlySignals(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.fifo, self.log, self.socket = (os.path.join(folder.name, name) for name in ("fifo", "log", "socket"))
        os.mkfifo(self.fifo)

    def start(self, *args):
        process = subprocess.Popen(
            [BINARY, "server", "--port", "0", "--no-http", "--l1-size-gb", "0.0625", "--log-file", self.log, "--request-socket",
             self.socket, *args],
            env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        return process

    def assert_ends_well(self, process):
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out, err), (0, "", ""))
        self.assertFalse(os.path.exists(self.socket))

    def test_end_it_while_it_reads_its_settings(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.start("--config", self.fifo)
            with open(self.fifo, "w"):  # opens when the server has opened it
                process.send_signal(number)
                self.assert_ends_well(process)

    def test_end_it_when_l1_is_there(self):
        process = self.start("--http-token-file", self.fifo)
        with open(self.fifo, "w"):
            process.send_signal(signal.SIGTERM)
            self.assert_ends_well(process)

    def test_end_it_at_any_moment(self):
        for delay in range(21):
            process = self.start("--config", self.fifo)
            with open(self.fifo, "w") as file:
                file.write("chunk-size = 128\n")
            time.sleep(delay / 1000)
            process.send_signal(signal.SIGTERM)
            with self.subTest(milliseconds=delay):
                self.assert_ends_well(process)

    def test_a_hangup_waits_until_it_serves(self):
        process = self.start("--config", self.fifo)
        with open(self.fifo, "w") as file:
            process.send_signal(signal.SIGHUP)
            file.write("chunk-size = 128\n")
        wait_for_line(self.log, READY.pattern)
        wait_for_line(self.log, "log opened anew")
        process.terminate()
        self.assert_ends_well(process)


if __name__ == "__main__":
    unittest.main()
