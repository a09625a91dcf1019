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
                     "StateDirectory=lmcache", "Restart=on-failure", "RestartPreventExitStatus=2", "TimeoutStartSec=infinity"):
            self.assertIn(line, lines)


# Metrics that no panel of the dashboard shows, by what shows the same better, or why nobody would look.
NOT_SHOWN = {
    "bytes or tokens are shown instead": {
        "lmcache_mp_l1_write_chunks_total", "lmcache_mp_l1_read_chunks_total", "lmcache_mp_l1_evicted_chunks_total",
        "lmcache_mp_num_chunks_loaded_total", "lmcache_mp_lookup_hit_l1_tokens_total", "lmcache_mp_lookup_hit_l1_keys_total"},
    "requests by operation are shown instead": {
        "lmcache_mp_num_submitted_stores_total", "lmcache_mp_num_finished_stores_total", "lmcache_mp_num_submitted_retrieves_total",
        "lmcache_mp_num_finished_retrieves_total", "lmcache_mp_lookups_requests_total", "lmcache_mp_messages_received_total"},
    "evicted bytes by reason are shown instead": {
        "lmcache_mp_l1_eviction_loop_ticks_total", "lmcache_mp_l1_eviction_loop_triggered_total"},
    "for those who tune GPU copies": {"lmcache_mp_gpu_direct_transfers_total"},
    "open connections and lost ones are shown": {"lmcache_mp_connections_accepted_total"},
    "their bytes are shown": {"lmcache_mp_token_chains"},
    "always the same": {"lmcache_mp_active_prefetch_jobs", "lmcache_mp_build_info"},
    "dashboards of hosts have them": {
        "process_cpu_seconds_total", "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
        "process_start_time_seconds"},
}


def metrics_in(text):
    """The metrics whose series an expression names."""
    names = re.findall(r"\b(?:lmcache_mp|process)_\w+", text)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "docs", "METRICS.md")) as file:
            cls.known = set(re.findall(r"^\| `(\w+)`", file.read(), re.M))
        with open(DASHBOARD) as file:
            cls.panels = json.load(file)["panels"]
        cls.expressions = [target["expr"] for panel in cls.panels for target in panel["targets"]]

    def assert_known(self, text):
        names = metrics_in(text)
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
        self.assert_known("\n".join(self.expressions))

    def test_the_dashboard_shows_every_metric_that_one_would_look_at(self):
        hidden = set().union(*NOT_SHOWN.values())
        shown = metrics_in("\n".join(self.expressions))
        self.assertEqual(hidden & shown, set())
        self.assertEqual(self.known - shown, hidden)

    @tool("promtool")
    def test_the_dashboards_expressions_are_valid(self):
        rules = [{"record": f"panel:{n}", "expr": expression.replace("$instance", ".*")}
                 for n, expression in enumerate(self.expressions)]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "panels", "rules": rules}]}, file)  # JSON is YAML
            file.flush()
            done = run("promtool", "check", "rules", file.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_dashboard_asks_for_the_chosen_servers_alone(self):
        for expression in self.expressions:
            series = re.findall(r"\b(?:lmcache_mp|process)_\w+", expression)
            self.assertEqual(expression.count('instance=~"$instance"'), len(series), expression)

    def test_the_dashboards_panels_have_places_of_their_own(self):
        places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in self.panels]
        self.assertEqual(places, [(8 * (n % 3), 8 * (n // 3), 8, 8) for n in range(len(places))])
        for key in ("id", "title"):
            self.assertEqual(len({panel[key] for panel in self.panels}), len(self.panels))


if __name__ == "__main__":
    unittest.main()
