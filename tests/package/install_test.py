"""`cmake --install` of the build that LMCACHE_BINARY is of, below a prefix: what is there names what is there."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from debian_root import DebianRoot

BINARY = os.environ["LMCACHE_BINARY"]
BUILD = os.path.normpath(os.path.join(os.path.dirname(BINARY), "..", ".."))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
UNITS = "lib/systemd/system"


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def install(self, prefix, **environment):
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix], capture_output=True, text=True, timeout=120,
                              env={**os.environ, **environment})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def read(self, *path):
        with open(os.path.join(*path)) as file:
            return file.read()

    def test_the_unit_runs_what_was_installed(self):
        prefix = os.path.join(self.folder, "local")
        self.install(prefix)
        path = os.path.join(prefix, UNITS, "lmcache.service")
        unit = self.read(path)
        command = re.search(r"^ExecStart=(.*)", unit, re.M).group(1).split()
        self.assertEqual(command, [prefix + "/bin/lmcache", "server", "--config", prefix + "/etc/lmcache/server.toml"])
        for name in (command[0], command[3], re.search(r"^Documentation=file:(.*)", unit, re.M).group(1)):
            self.assertTrue(os.path.isfile(name), name)
        socket = self.read(prefix, UNITS, "lmcache.socket")
        self.assertTrue(os.path.isfile(re.search(r"^Documentation=file:(.*)", socket, re.M).group(1)))
        for text in (unit, socket):
            self.assertNotRegex(text, r"[ :=]/(usr|etc)/")
        version = subprocess.run([command[0], "--version"], capture_output=True, text=True, timeout=60)
        self.assertRegex(version.stdout, r"^lmcache \d")
        if shutil.which("systemd-analyze"):
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_with_the_prefix_usr_the_units_are_those_of_configs(self):
        self.install("/usr", DESTDIR=self.folder)
        for unit in ("lmcache.service", "lmcache.socket"):
            self.assertEqual(self.read(self.folder, "usr", UNITS, unit), self.read(ROOT, "configs", unit))
        self.assertTrue(os.path.isfile(os.path.join(self.folder, "etc/lmcache/server.toml")))


class User(unittest.TestCase):
    def test_is_made_as_the_documents_say(self):
        if os.geteuid() != 0:
            self.skipTest("NOT ROOT, nothing was tested")
        root = DebianRoot(["adduser"])
        self.addCleanup(root.close)
        root.run(*"adduser --system --group --home /var/lib/lmcache --no-create-home lmcache".split())
        self.assertRegex(root.read("/etc/passwd"), r"(?m)^lmcache:[^:]*:\d+:\d+::/var/lib/lmcache:/usr/sbin/nologin$")
        self.assertRegex(root.read("/etc/group"), r"(?m)^lmcache:")


if __name__ == "__main__":
    unittest.main()
