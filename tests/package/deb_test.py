"""The .deb that LMCACHE_DEB names: what is in it, that it enables nothing, and that what it unpacks runs and speaks to systemd."""

import gzip
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest

DEB = os.environ["LMCACHE_DEB"]
PATIENCE = 60


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


class Deb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = os.path.join(cls.folder.name, "root")
        cls.control = os.path.join(cls.folder.name, "control")
        output("dpkg-deb", "-x", DEB, cls.root)
        output("dpkg-deb", "-e", DEB, cls.control)
        cls.binary = os.path.join(cls.root, "usr/bin/lmcache")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def read(self, *path):
        with open(os.path.join(*path)) as file:
            return file.read()

    def test_its_files(self):
        for path in ("usr/bin/lmcache", "usr/lib/systemd/system/lmcache.service", "usr/lib/systemd/system/lmcache.socket",
                     "etc/lmcache/server.toml",
                     "usr/share/lmcache/prometheus-alerts.yml", "usr/share/lmcache/grafana-dashboard.json"):
            self.assertTrue(os.path.exists(os.path.join(self.root, path)), path)
        for owner in re.findall(r"^\S+ (\S+) ", output("dpkg-deb", "-c", DEB), re.M):
            self.assertEqual(owner, "root/root")

    def test_its_manual_pages(self):
        for page, name in (("man1/lmcache.1.gz", "lmcache"), ("man8/lmcache-server.8.gz", "lmcache-server")):
            with gzip.open(os.path.join(self.root, "usr/share/man", page), "rt") as text:
                self.assertIn(f'.TH "{name.upper()}"'.replace("-", "\\-"), text.read())

    def test_what_it_says_of_itself(self):
        fields = dict(line.split(": ", 1) for line in output("dpkg-deb", "-f", DEB).splitlines() if ": " in line)
        self.assertEqual(fields["Package"], "lmcache-server")
        self.assertEqual("lmcache " + fields["Version"] + "\n", output(self.binary, "--version"))
        self.assertIn("libc6", fields["Depends"])
        self.assertIn("adduser", fields["Depends"])

    def test_settings_are_the_operators(self):
        self.assertEqual(self.read(self.control, "conffiles"), "/etc/lmcache/server.toml\n")
        self.assertEqual(self.read(self.root, "etc/lmcache/server.toml"), output(self.binary, "server", "--print-config"))

    def test_scripts_enable_and_start_nothing(self):
        for name in ("postinst", "prerm", "postrm"):
            path = os.path.join(self.control, name)
            self.assertTrue(os.access(path, os.X_OK), name)
            output("sh", "-n", path)
            commands = [line for line in self.read(path).splitlines() if not line.lstrip().startswith("#")]
            self.assertFalse([line for line in commands if re.search(r"systemctl.* (enable|start|restart)\b", line)], name)

    def test_what_is_unpacked_runs_and_tells_systemd(self):
        address = os.path.join(self.folder.name, "notify")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(address)
        manager.settimeout(PATIENCE)
        environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        environment.pop("WATCHDOG_PID", None)
        server = subprocess.Popen(
            [self.binary, "server", "--config", os.path.join(self.root, "etc/lmcache/server.toml"), "--port", "0",
             "--http-port", "0", "--l1-size-gb", "0.0625"], env=environment, stderr=subprocess.DEVNULL)
        self.addCleanup(server.kill)
        self.assertRegex(manager.recv(4096).decode(), r"^READY=1\nSTATUS=serving on localhost:\d+, L1 of 64 MiB 0% full, 0 workers$")
        while manager.recv(4096) != b"WATCHDOG=1":
            pass
        server.send_signal(signal.SIGTERM)
        while not manager.recv(4096).startswith(b"STOPPING=1"):
            pass
        self.assertEqual(server.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
