"""The end of a daemon that has a request it cannot finish: a store, whose copy thread is frozen."""

import time
import unittest

import zmq
from frozen import Frozen
from kvclient import Engine, connect, dense, tokens
from server import PATIENCE, Server, eventually

GIVEN_UP = "stopped with requests unanswered"


class Stop(unittest.TestCase):
    def stuck(self, *flags):
        """A server with a store in flight; it stays there while the block runs that this is given to."""
        server = Server(["--l1-size-gb", "0.0625", "--no-http", *flags])
        self.addCleanup(server.discard)
        context = zmq.Context()
        self.addCleanup(context.destroy, 0)
        client = connect(server.url, context)
        self.addCleanup(client.close)
        engine = Engine(client, [dense()], 1024).register()
        self.addCleanup(engine.close)
        frozen = Frozen(server.process, "lmcache-copy")

        def begin():
            engine.send_store(tokens(512), "store")
            self.assertIs(client.ping(engine.instance).result(timeout=PATIENCE), True)  # was sent behind it

        return server, frozen, begin

    def says(self, server, text):
        eventually(lambda: text in server.log(), f"the server says: {text}")

    def test_the_deadline_ends_a_drain(self):
        server, frozen, begin = self.stuck("--shutdown-timeout-seconds", "0.2")
        with frozen:
            begin()
            server.process.terminate()
            self.says(server, GIVEN_UP)
        self.assertEqual(server.process.wait(PATIENCE), 1)

    def test_a_second_signal_stops_at_once(self):
        server, frozen, begin = self.stuck("--shutdown-timeout-seconds", "3600")
        with frozen:
            begin()
            server.process.terminate()
            self.says(server, "stopping: requests in flight are finished")
            time.sleep(0.2)  # it waits
            self.assertNotIn(GIVEN_UP, server.log())
            server.process.terminate()
            self.says(server, "second signal: stopping at once")
            self.says(server, GIVEN_UP)
        self.assertEqual(server.process.wait(PATIENCE), 1)


if __name__ == "__main__":
    unittest.main()
