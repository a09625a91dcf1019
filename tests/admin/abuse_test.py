"""Clients that misbehave on the HTTP port cost nobody else anything: an engine goes on storing and retrieving, and the health
endpoint goes on answering."""

import re
import resource
import socket
import time
import unittest
import urllib.parse

from admin import AdminCase, Client, read_all
from kvclient import Engine, dense, tokens, unique


class Abuse(AdminCase):
    flags = ("--http-max-connections", "32", "--http-timeout-seconds", "1")

    def setUp(self):
        self.engine = Engine(self.connect(), [dense()], 1024).register()
        self.addCleanup(self.engine.unregister)

    def assert_served(self):
        """An engine is served, and so is a new HTTP client."""
        toks = tokens(512)
        self.assertTrue(self.engine.store(toks, unique("store")))
        rid = unique("lookup")
        self.assertEqual(self.engine.lookup(toks, rid), 2)
        self.assertTrue(self.engine.retrieve(toks, rid))
        self.assertEqual(self.http().get("/healthcheck").json, {"status": "healthy"})

    def answer_to(self, data):
        connection = self.raw()
        connection.sendall(data)
        answer = read_all(connection)
        self.assert_served()
        return answer

    def test_what_is_not_http(self):
        for data in (b"\0" * 100 + b"\r\n\r\n", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n",
                     b"\xff\0\0\0\0\0\0\0\x01\x7f", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
                     b"POST /cache/clear HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"POST /cache/clear HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                     b"POST /cache/clear HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            with self.subTest(data[:30]):
                answer = self.answer_to(data)
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 400 "), answer)

    def test_targets_that_are_none(self):
        for target in (b"*", b"ftp://localhost/status", b"http:///status", b"/%00", b"/%zz", b"/../etc/passwd", b"//"):
            with self.subTest(target):
                answer = self.answer_to(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertRegex(answer[:13], rb"HTTP/1.1 40[04]")

    def test_a_target_may_name_its_host(self):
        answer = self.answer_to(b"GET http://localhost/healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)

    def test_a_request_names_its_host_once(self):
        for head in (b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"):
            answer = self.answer_to(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertTrue(self.answer_to(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 "))

    def test_a_huge_header_and_a_huge_body(self):
        self.assertTrue(self.answer_to(b"GET / HTTP/1.1\r\nX: " + b"a" * 100000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 "))
        head = b"POST /cache/clear HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
        self.assertTrue(self.answer_to(head % (1 << 40)).startswith(b"HTTP/1.1 413 "))
        self.assertTrue(self.answer_to(head % (2 << 20) + b"a" * (2 << 20)).startswith(b"HTTP/1.1 413 "))

    def test_deep_json(self):
        body = b'{"token_ids":' + b"[" * 100000 + b"]" * 100000 + b"}"
        head = b"POST /cache/prefetches HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.assertTrue(self.answer_to(head + body).startswith(b"HTTP/1.1 422 "))

    def test_pipelined_requests_are_answered_in_order(self):
        paths = ["/version", "/nope", "/status", "/lmc_version"] * 8
        requests = "".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths[:-1])
        requests += f"GET {paths[-1]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = self.answer_to(requests.encode())
        statuses = re.findall(r"HTTP/1\.1 (\d{3}) ", answer.decode())
        self.assertEqual(statuses, ["404" if path == "/nope" else "200" for path in paths])

    def test_slow_clients_are_cut_off_and_keep_nobody_waiting(self):
        slow = [self.raw() for _ in range(8)]
        for connection in slow[:4]:
            connection.sendall(b"GET /status HT")
        self.assert_served()
        for connection in slow:
            self.assertEqual(read_all(connection), b"")  # closed by the server
        self.assert_served()

    def test_a_client_that_does_not_read(self):
        connection = self.raw()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0.5)
        try:
            for _ in range(20000):
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        except (TimeoutError, ConnectionError):
            pass
        self.assert_served()

    def test_a_thousand_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
        crowd = []
        self.addCleanup(lambda: [c.close() for c in crowd])
        address = urllib.parse.urlsplit(self.server.http)
        for i in range(1000):
            crowd.append(socket.create_connection((address.hostname, address.port)))
            if i % 100 == 99:
                self.assert_served()
        # A probe got in each time, although only 32 may be connected: those that had waited longest made room.
        gone = sum(1 for c in crowd[:900] if read_all(c) == b"")
        self.assertEqual(gone, 900)

    def test_a_page_of_another_origin_cannot_clear(self):
        client = Client(self.server.http)
        self.addCleanup(client.close)
        answer = client.ask("POST", "/cache/clear", Origin="http://evil.example")
        self.assertEqual(answer.status, 403)


class NonReaders(AdminCase):
    flags = ("--http-max-connections", "32", "--http-timeout-seconds", "60")

    def non_reader(self):
        """Asks for far more than the buffers on the way hold, and reads nothing."""
        address = urllib.parse.urlsplit(self.server.http)
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((address.hostname, address.port))
        try:
            connection.sendall(b"GET /ui HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        except ConnectionError:
            pass

    def test_a_full_house_of_clients_that_do_not_read(self):
        for _ in range(3):
            for _ in range(40):
                self.non_reader()
            for _ in range(10):  # while their buffers fill up, and after
                self.assertEqual(self.http().get("/healthcheck").json, {"status": "healthy"})
                time.sleep(0.1)


if __name__ == "__main__":
    unittest.main()
