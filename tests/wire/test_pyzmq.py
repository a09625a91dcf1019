"""The basic exchange with pyzmq: test_pyzmq.py ECHO_SERVER_BINARY."""

import os
import subprocess
import sys
import tempfile
import unittest

import zmq

SERVER = sys.argv.pop(1)
PATIENCE_MS = 60000


class Exchange(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "s")
        self.server = subprocess.Popen(
            [SERVER, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.tcp = "tcp://127.0.0.1:%d" % int(self.server.stdout.readline())
        self.context = zmq.Context()

    def tearDown(self):
        self.context.destroy(linger=0)
        if self.server.poll() is None:
            self.stop_server()
        self.server.stdout.close()
        self.folder.cleanup()

    def stop_server(self):
        self.server.stdin.close()
        self.assertEqual(self.server.wait(timeout=PATIENCE_MS / 1000), 0)

    def dealer(self, endpoint=None, identity=None):
        socket = self.context.socket(zmq.DEALER)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = PATIENCE_MS
        if identity:
            socket.identity = identity
        socket.connect(endpoint or self.tcp)
        return socket

    def test_frames_come_back_over_tcp_and_unix(self):
        for endpoint in (self.tcp, "ipc://" + self.path):
            socket = self.dealer(endpoint)
            for frames in ([b"\x00", b"\x14"], [b"", b"x" * 300, b""], [b"u", os.urandom(1 << 20)]):
                socket.send_multipart(frames)
                self.assertEqual(socket.recv_multipart(), frames)

    def test_many_in_flight_keep_their_order(self):
        socket = self.dealer(identity=b"given")
        for i in range(500):
            socket.send_multipart([b"%d" % i, b"op"])
        for i in range(500):
            self.assertEqual(socket.recv_multipart(), [b"%d" % i, b"op"])

    def test_replies_of_a_worker_thread(self):
        sockets = [self.dealer() for _ in range(20)]
        for socket in sockets:
            socket.send_multipart([b"worker", b"payload"])
        for socket in sockets:
            self.assertEqual(socket.recv_multipart(), [b"worker", b"payload"])

    def test_server_ends_cleanly_under_open_connections(self):
        socket = self.dealer()
        socket.send(b"hello")
        self.assertEqual(socket.recv(), b"hello")
        self.stop_server()
        self.assertFalse(os.path.exists(self.path))


if __name__ == "__main__":
    unittest.main()
