"""The .deb that LMCACHE_DEB names under a systemd of its own: what an operator types, in a container that systemd-nspawn boots."""

import os
import re
import resource
import shutil
import subprocess
import sys
import unittest

from debian_root import DebianRoot, names_in, output

DEB = os.environ["LMCACHE_DEB"]
PATIENCE = 180
# An engine's memory is its user's, so the load generator is the server's user.
BENCH = "setpriv --reuid lmcache --regid lmcache --clear-groups lmcache bench server tcp://localhost:5555 --requests 2 --tokens 512"
MAIN = "$(systemctl show --property MainPID --value lmcache | grep -vx 0)"
STEPS = {
    "enabled": "systemctl is-enabled lmcache.service lmcache.socket",
    "start": "systemctl daemon-reload && systemctl enable --now lmcache && systemctl show --property StatusText,User,SupplementaryGroups lmcache || ! journalctl --unit lmcache",
    "ping": "lmcache ping kvcache",
    "status": "systemctl is-enabled lmcache && systemctl status lmcache",
    "reload": "systemctl reload lmcache && sleep 1 && journalctl --unit lmcache",
    "kill": f"kill -KILL {MAIN}; for i in $(seq 100); do sleep 0.1; lmcache ping kvcache --quiet 2> /dev/null && break; done; "
            "systemctl show --property NRestarts,ActiveState lmcache",
    "stop": "systemctl stop lmcache && systemctl show --property Result,ActiveState lmcache",
    "socket": "systemctl start lmcache.socket && systemctl show --property ActiveState lmcache.service",
    "activated": f"{BENCH} && systemctl show --property ActiveState,TriggeredBy lmcache.service",
    "restart": f"systemctl restart lmcache && {BENCH}",
    "again": f"systemctl stop lmcache; {BENCH} && systemctl show --property ActiveState lmcache.service",
    "watchdog": f"kill -STOP {MAIN}; for i in $(seq 300); do sleep 0.1; [ $(systemctl show --property NRestarts --value lmcache) = 1 ] && break; "
                "done; journalctl --unit lmcache | grep -i watchdog",
}


class Systemd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
            cls.skip("needs root and systemd-nspawn")
        cls.root = root = DebianRoot(names_in(output("dpkg-deb", "-f", DEB, "Depends")) + ["dpkg", "systemd", "util-linux"])
        cls.addClassCleanup(root.close)
        root.run("dpkg", "-i", "/tmp/" + os.path.basename(shutil.copy(DEB, root.at("tmp"))))
        root.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        root.write("/etc/hosts", "127.0.0.1 localhost\n")
        # No more than this machine may give; and a watchdog that a test can wait for.
        limits = "".join(f"Limit{name}={'infinity' if hard == resource.RLIM_INFINITY else hard}\n" for name, hard in
                         (("MEMLOCK", resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]),
                          ("NOFILE", min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))))
        root.write("/etc/systemd/system/lmcache.service.d/test.conf", f"[Service]\n{limits}WatchdogSec=5\n")
        script = "#!/bin/sh\nmkdir /results\n" + "".join(
            f"({command}) > /results/{name} 2>&1 < /dev/null; echo $? > /results/{name}.status\n" for name, command in STEPS.items())
        root.write("/usr/local/bin/operator", script + "systemctl poweroff\n", 0o755)
        root.write("/etc/systemd/system/operator.service",
                   "[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/usr/local/bin/operator\n")
        root.write("/etc/systemd/system/operator.target", "[Unit]\nRequires=basic.target\nWants=operator.service\n")
        boot = subprocess.run(["systemd-nspawn", "--quiet", "--directory", root.path, "--register=no", "--keep-unit", "--private-network",
                               "--boot", "--", "--unit=operator.target"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE)
        if not root.exists("/results"):
            cls.skip("systemd does not boot here: " + (boot.stderr or boot.stdout).strip()[-300:])

    @classmethod
    def skip(cls, reason):
        print(f"SKIPPED: the service is not tested under a running systemd: {reason}", file=sys.stderr)
        raise unittest.SkipTest(reason)

    def step(self, name, status=0):
        text = self.root.read(f"/results/{name}")
        self.assertEqual(self.root.read(f"/results/{name}.status").strip(), str(status), f"{STEPS[name]}:\n{text}")
        return text

    def test_installing_enables_nothing(self):
        self.assertEqual(self.step("enabled", 1).split(), ["disabled", "disabled"])

    def test_the_service_starts_and_says_what_it_serves(self):
        self.assertRegex(self.step("start"), r"StatusText=serving on localhost:5555, L1 of 1024 MiB 0% full, 0 workers\n")
        self.step("ping")
        shown = self.step("status")
        self.assertTrue(shown.startswith("enabled\n"), shown)
        self.assertIn("active (running)", shown)
        self.assertIn("serving on localhost:5555", shown)

    def test_reload_says_that_there_is_no_file_to_open_anew(self):
        self.assertIn("SIGHUP: there is no --log-file to open anew", self.step("reload"))

    def test_what_is_killed_comes_back(self):
        self.assertEqual(set(self.step("kill").split()), {"NRestarts=1", "ActiveState=active"})

    def test_stopping_is_a_clean_end(self):
        self.assertEqual(set(self.step("stop").split()), {"Result=success", "ActiveState=inactive"})

    def test_a_connection_starts_the_service(self):
        self.assertIn("ActiveState=inactive", self.step("socket"))
        served = self.step("activated")
        self.assertRegex(served, r"blocks compared [1-9]\d*, bad 0")
        self.assertIn("ActiveState=active", served)

    def test_the_socket_outlives_the_server(self):
        for name in ("restart", "again"):
            self.assertRegex(self.step(name), r"blocks compared [1-9]\d*, bad 0")

    def test_what_hangs_is_restarted(self):
        self.assertTrue(re.search("watchdog timeout", self.step("watchdog"), re.I))


if __name__ == "__main__":
    unittest.main()
