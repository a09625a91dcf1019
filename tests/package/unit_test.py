"""The systemd unit, the alert rules and the dashboard, checked by the tools that will read them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
UNIT = os.path.join(ROOT, "configs", "lmcache.service")
SOCKET = os.path.join(ROOT, "configs", "lmcache.socket")
ALERTS = os.path.join(ROOT, "configs", "prometheus-alerts.yml")
DASHBOARD = os.path.join(ROOT, "configs", "grafana-dashboard.json")


def tool(name):
    return unittest.skipIf(shutil.which(name) is None, f"{name} is not installed")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class Unit(unittest.TestCase):
    def setUp(self):
        """The unit with a program that exists here."""
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "lmcache.service")
        with open(UNIT) as unit, open(self.path, "w") as copy:
            copy.write(unit.read().replace("/usr/bin/lmcache", os.environ["LMCACHE_BINARY"]))

    @tool("systemd-analyze")
    def test_is_valid(self):
        done = run("systemd-analyze", "verify", "--man=no", self.path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    @tool("systemd-analyze")
    def test_the_socket_is_valid(self):
        done = run("systemd-analyze", "verify", "--man=no", shutil.copy(SOCKET, self.folder.name))
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    @tool("systemd-analyze")
    def test_is_hardened(self):
        done = run("systemd-analyze", "security", "--offline=true", "--threshold=40", self.path)
        self.assertEqual(done.returncode, 0, done.stdout[-300:])
        self.assertRegex(done.stdout, r"Overall exposure level for lmcache.service: \S+ OK")

    def test_what_it_promises(self):
        with open(UNIT) as unit:
            lines = [line.strip() for line in unit]
        for line in ("Type=notify", "LimitMEMLOCK=infinity", "User=lmcache", "RuntimeDirectory=lmcache",
                     "StateDirectory=lmcache", "Restart=on-failure"):
            self.assertIn(line, lines)


def names_in(text):
    return set(re.findall(r"\b(?:lmcache_mp|process)_\w+", text))


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "docs", "METRICS.md")) as file:
            cls.known = set(re.findall(r"^\| `(\w+)`", file.read(), re.M))

    def assert_known(self, text):
        names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names_in(text)}
        self.assertGreater(len(names), 5)
        self.assertEqual(names - self.known, set())

    @tool("promtool")
    def test_rules_are_valid(self):
        done = run("promtool", "check", "rules", ALERTS)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_rules_use_metrics_that_exist(self):
        with open(ALERTS) as file:
            self.assert_known(file.read())

    def test_the_dashboard_uses_metrics_that_exist(self):
        with open(DASHBOARD) as file:
            dashboard = json.load(file)
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        self.assert_known("\n".join(expressions))
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))


if __name__ == "__main__":
    unittest.main()
