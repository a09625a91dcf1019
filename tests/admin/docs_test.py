"""Every `lmcache` command line in docs/OPERATIONS.md does what it is there for."""

import os
import shlex
import subprocess
import unittest

from admin import PATIENCE, AdminCase
from kvclient import Engine, dense, tokens, unique
from server import BINARY

DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "OPERATIONS.md")


def command_lines():
    """Words of each, without the comment."""
    with open(DOCUMENT) as file:
        return [shlex.split(line, comments=True) for line in file if line.startswith("lmcache ")]


class Documented(AdminCase):
    flags = ("--eviction-policy", "IsolatedLRU")  # limits per cache_salt need it

    def test_commands_run(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        self.assertTrue(engine.store(tokens(1024), unique("store")))
        lines = command_lines()
        self.assertEqual({words[1] for words in lines}, {"ping", "describe", "kvcache", "quota", "doctor"})
        for words in lines:
            with self.subTest(" ".join(words)):
                # At this test's server, and whatever else listens on this machine.
                ports = ("--port", "0", "--http-port", "0") if words[1] == "doctor" else ()
                done = subprocess.run([BINARY, *words[1:], "--url", self.server.http, *ports], capture_output=True,
                                      text=True, timeout=PATIENCE)
                # doctor may find something: then it says what.
                self.assertIn(done.returncode, (0, 1) if words[1] == "doctor" else (0,), done.stderr)
                self.assertTrue(done.stdout)
                self.assertEqual(bool(done.stderr), done.returncode != 0)
        engine.unregister()


if __name__ == "__main__":
    unittest.main()
