"""A daemon with its admin HTTP, and plain requests to it."""

import http.client
import json
import os
import socket
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "client"))
from frozen import Frozen  # noqa: F401
from server import PATIENCE, Server, ServerCase, eventually  # noqa: F401

TOKEN = "0123456789abcdefghijk"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.text = response.read().decode()

    @property
    def json(self):
        return json.loads(self.text)


class Client:
    """One keep-alive connection; a new one where the server closed the last."""

    def __init__(self, url, token=None):
        self.address = urllib.parse.urlsplit(url)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.connection = None

    def ask(self, method, path, body=None, **headers):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=PATIENCE)
        self.connection.request(method, path, body, {**self.headers, **headers})
        return Answer(self.connection.getresponse())

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, path, body=None):
        return self.ask("POST", path, body)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class AdminCase(ServerCase):
    def http(self, token=None):
        client = Client(self.server.http, token)
        self.addCleanup(client.close)
        return client

    def raw(self):
        """A bare connection to the HTTP port."""
        address = urllib.parse.urlsplit(self.server.http)
        connection = socket.create_connection((address.hostname, address.port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        return connection


class TokenCase(AdminCase):
    """A daemon that asks for TOKEN, which is in `token_file`, on a unix socket too."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.token_file, cls.http_socket = (os.path.join(folder.name, name) for name in ("token", "admin.sock"))
        with open(cls.token_file, "w") as file:
            file.write(TOKEN + "\n")
        cls.flags = (*cls.flags, "--http-token-file", cls.token_file, "--http-socket", cls.http_socket)
        super().setUpClass()


def read_all(connection):
    """What comes until the server closes."""
    out = b""
    try:
        while data := connection.recv(65536):
            out += data
    except ConnectionResetError:
        pass
    return out
