"""The health endpoint tells the truth: a thread that hangs makes the server unwell, by name, and well again when it goes on."""

import concurrent.futures
import unittest

from admin import Client, Frozen, Server, eventually


def what_is_told(thread, loop):
    """Of a server whose thread is frozen: the answer that names its loop, and whether all was well before and after."""
    server = Server(["--l1-size-gb", "0.0625"])
    try:
        client = Client(server.http)
        before = client.get("/healthcheck").status
        with Frozen(server.process, thread):
            # What waits for the thread may be missed before it is.
            answer = eventually(lambda: (a := client.get("/healthcheck")).status == 503 and loop in a.text and a, f"{loop} is missed")
            ready = client.get("/readyz").status
        eventually(lambda: client.get("/healthcheck").json == {"status": "healthy"}, "it is well again")
        client.close()
        return before, ready, answer.json, server.stop()
    finally:
        server.discard()


class Health(unittest.TestCase):
    def test_every_loop_is_missed_when_it_hangs(self):
        loops = {"lmcache-io": "I/O thread 0", "lmcache-request": "request thread", "lmcache-copy": "copy thread 0",
                 "lmcache-admin": "admin thread", "lmcache": "main loop"}
        with concurrent.futures.ThreadPoolExecutor(len(loops)) as pool:
            for thread, (before, ready, told, code) in zip(loops, pool.map(what_is_told, loops, loops.values())):
                with self.subTest(thread):
                    self.assertEqual((before, ready, code), (200, 503, 0))
                    self.assertEqual(told["status"], "unhealthy")
                    self.assertRegex(told["reason"], r"^not come round for \d+ s: ")


if __name__ == "__main__":
    unittest.main()
