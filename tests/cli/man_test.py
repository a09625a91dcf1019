"""The manual pages in docs/man: the formatter has nothing to complain about. What is in them is unit_app's to check."""

import glob
import os
import shutil
import subprocess
import sys
import unittest

PAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "man")


def formatter():
    """A command that formats the page it is given, with all warnings; None where there is none."""
    if shutil.which("man"):
        return ["man", "--warnings", "--local-file"]
    if shutil.which("groff"):
        return ["groff", "-man", "-Tutf8", "-ww"]
    return None


class Pages(unittest.TestCase):
    def test_they_are_formatted_without_a_warning(self):
        if formatter() is None:
            print("NOT TESTED: neither man nor groff is installed", file=sys.stderr)
            self.skipTest("neither man nor groff")
        pages = glob.glob(os.path.join(PAGES, "*.[0-9]"))
        self.assertEqual({os.path.basename(page) for page in pages}, {"lmcache.1", "lmcache-server.8"})
        for page in pages:
            done = subprocess.run([*formatter(), page], capture_output=True, text=True, timeout=60,
                                  env={**os.environ, "LC_ALL": "C.UTF-8", "MAN_KEEP_STDERR": "1"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)
            self.assertIn("EXIT STATUS", done.stdout)


if __name__ == "__main__":
    unittest.main()
