"""A bare DEALER, for what the published client cannot be made to send."""

import itertools

import msgspec
import zmq
from server import PATIENCE

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode


class RawPeer:
    def __init__(self, url, context):
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(url)
        self.uids = itertools.count()

    def close(self):
        self.socket.close()

    def send(self, *frames):
        self.socket.send_multipart(frames)

    def receive(self):
        if not self.socket.poll(PATIENCE * 1000):
            raise AssertionError("no reply came")
        return self.socket.recv_multipart()

    def ask(self, operation, *payload):
        """Sends encoded payload frames and returns the reply's frames after the uid. `operation` is packed unless it is bytes."""
        uid = pack(next(self.uids))
        frame = operation if isinstance(operation, bytes) else pack(operation)
        self.send(uid, frame, *payload)
        reply = self.receive()
        if reply[0] != uid:
            raise AssertionError(f"a reply to {reply[0]!r} instead of {uid!r}")
        return reply[1:]

    def call(self, operation, *arguments):
        """The decoded result of a well-formed call; None for a reply without payload."""
        operation_frame, *result = self.ask(operation, *map(pack, arguments))
        if unpack(operation_frame) != operation:
            raise AssertionError(f"refused: {unpack(operation_frame)}")
        return unpack(result[0]) if result else None
