"""The .deb that LMCACHE_DEB names through its life on a machine: installed, upgraded, removed, purged, in a root of its own."""

import os
import re
import shutil
import sys
import tempfile
import unittest

from debian_root import DebianRoot, names_in, output

DEB = os.environ["LMCACHE_DEB"]
SETTINGS = "/etc/lmcache/server.toml"
# What systemd would be told, on a machine that runs it.
SYSTEMCTL = '#!/bin/sh\necho "$*" >> /run/systemctl.log\n'


def setUpModule():
    if os.geteuid() != 0:
        print("SKIPPED: a package is installed by root only, so its life is not tested", file=sys.stderr)
        raise unittest.SkipTest("not root")


class Lifecycle(unittest.TestCase):
    def setUp(self):
        self.root = DebianRoot(names_in(output("dpkg-deb", "-f", DEB, "Depends")) + ["dpkg"])
        self.addCleanup(self.root.close)
        self.root.write("/usr/bin/systemctl", SYSTEMCTL, 0o755)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def upgraded(self, version, settings=None):
        """A .deb of a later version, with other default settings if they are given."""
        tree, path = os.path.join(self.folder.name, version), os.path.join(self.folder.name, version + ".deb")
        output("dpkg-deb", "-R", DEB, tree)
        control = os.path.join(tree, "DEBIAN", "control")
        with open(control) as file:
            text = re.sub(r"^Version: .*", "Version: " + version, file.read(), flags=re.M)
        with open(control, "w") as file:
            file.write(text)
        if settings is not None:
            with open(tree + SETTINGS, "w") as file:
                file.write(settings)
        output("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, path)
        return path

    def dpkg(self, *words):
        return self.root.run("dpkg", *words)

    def install(self, deb, *options):
        return self.dpkg(*options, "-i", "/tmp/" + os.path.basename(shutil.copy(deb, self.root.at("tmp"))))

    def told_systemd(self):
        log = "/run/systemctl.log"
        return self.root.read(log).splitlines() if self.root.exists(log) else []

    def state(self):
        found = [line for line in self.dpkg("-l").splitlines() if line.split()[1:2] == ["lmcache-server"]]
        return found[0].split()[0] if found else None

    def user(self):
        found = re.search(r"^lmcache:.*", self.root.read("/etc/passwd"), re.M)
        return found.group().split(":") if found else None

    def test_installing_makes_a_user_and_enables_nothing(self):
        self.install(DEB)
        self.assertEqual(self.state(), "ii")
        _, _, uid, _, _, home, shell = self.user()
        self.assertLess(int(uid), 1000)
        self.assertEqual((home, os.path.basename(shell)), ("/var/lib/lmcache", "nologin"))
        groups = re.findall(r"^(\w+):", self.root.read("/etc/group"), re.M)
        unit = self.root.read("/usr/lib/systemd/system/lmcache.service")
        for group in re.search(r"^SupplementaryGroups=(.*)", unit, re.M).group(1).split():
            self.assertIn(group, groups, "systemd would not start the service")
        self.assertEqual(self.told_systemd(), ["daemon-reload"])
        self.assertEqual(os.listdir(self.root.at("/etc/systemd/system")), [])
        for unit in ("lmcache.service", "lmcache.socket"):
            self.assertTrue(self.root.exists("/usr/lib/systemd/system/" + unit))
        self.assertRegex(self.root.run("lmcache", "--version"), r"^lmcache \d")

    def test_changed_settings_survive_upgrades(self):
        self.install(DEB)
        changed = self.root.read(SETTINGS) + "l1-size-gb = 7\n"
        self.root.write(SETTINGS, changed)
        uid = self.user()[2]
        self.install(self.upgraded("9.1"))
        self.assertEqual(self.root.read(SETTINGS), changed)
        self.install(self.upgraded("9.2", "# other defaults\n"), "--force-confold")
        self.assertEqual(self.root.read(SETTINGS), changed)
        self.assertEqual(self.root.read(SETTINGS + ".dpkg-dist"), "# other defaults\n")
        self.assertIn("9.2", self.dpkg("-l", "lmcache-server"))
        self.assertEqual(self.user()[2], uid)
        # A restart would empty the cache, so nobody is told to.
        self.assertEqual(set(self.told_systemd()), {"daemon-reload"})

    def test_settings_nobody_changed_follow_the_package(self):
        self.install(DEB)
        self.install(self.upgraded("9.1", "# other defaults\n"))
        self.assertEqual(self.root.read(SETTINGS), "# other defaults\n")

    def test_removing_keeps_what_purging_takes(self):
        self.install(DEB)
        kept = ("/var/lib/lmcache/x", "/var/log/lmcache/lmcache.log", "/etc/lmcache/token")
        for path in kept:
            self.root.write(path, "x\n")
        self.dpkg("-r", "lmcache-server")
        self.assertEqual(self.state(), "rc")
        self.assertIn("disable --now lmcache.socket lmcache.service", self.told_systemd())
        self.assertFalse(self.root.exists("/usr/bin/lmcache"))
        for path in (*kept, SETTINGS):
            self.assertTrue(self.root.exists(path), path)
        self.assertIsNotNone(self.user())
        self.dpkg("-P", "lmcache-server")
        for path in ("/var/lib/lmcache", "/var/log/lmcache", "/etc/lmcache", "/usr/share/doc/lmcache-server",
                     "/usr/lib/systemd/system/lmcache.socket", "/usr/share/lmcache"):
            self.assertFalse(self.root.exists(path), path)
        self.assertIsNone(self.user())
        self.assertIsNone(self.state())
        self.assertFalse([name for name in os.listdir(self.root.at("/var/lib/dpkg/info")) if name.startswith("lmcache")])


if __name__ == "__main__":
    unittest.main()
