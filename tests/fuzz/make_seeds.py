#!/usr/bin/env python3
"""Writes the seeds of corpus/ from the recorded requests in tests/data/golden (zmtp's are its own).

usage: tests/fuzz/make_seeds.py      (needed only when a target's input format changes)
"""
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "data", "golden")
# Operation ids in the order of the server's table; a requests seed starts with the place in it.
TABLE = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24]


def cases(name):
    with open(os.path.join(GOLDEN, name + ".json")) as file:
        for case in json.load(file)["cases"]:
            request = case["request"]
            frames = [request["uid"]["hex"], request["operation"]["hex"]]
            frames += [frame["hex"] for frame in request["payload"]]
            yield case["case"], [bytes.fromhex(frame) for frame in frames]


def write(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "".join(c if c.isalnum() else "_" for c in name)), "wb") as out:
        out.write(data)


def sized(frames):
    return b"".join(struct.pack(">H", len(frame)) + frame for frame in frames)


def first_of_each_operation():
    """The shortest recorded request of each operation."""
    found = {}
    for name in ("management", "register", "lookup", "store", "retrieve", "session_end"):
        for _, frames in cases(name):
            operation = frames[1][0]
            if operation in TABLE and (operation not in found or
                                       len(b"".join(frames)) < len(b"".join(found[operation]))):
                found[operation] = frames
    return found


def requests():
    for operation, frames in first_of_each_operation().items():
        write("requests", f"op{operation}", bytes([TABLE.index(operation)]) + sized(frames[2:]))


def msgpack():
    """All reads of the target over a value of each kind."""
    values = {"key": first_of_each_operation()[8][2], "tensors": first_of_each_operation()[1][3],
              "float": bytes.fromhex("cb3ff0000000000000"), "nested": b"\x91" * 40,
              "tokens": bytes.fromhex("01cc80cd0100ce00010000cf0000000100000000"),
              "lying_array": bytes.fromhex("ddffffffff00"), "utf8": b"\xa4\xf0\x9f\x92\xa9"}
    reads = {"key": [8, 4, 4, 4, 0, 4], "tensors": [7, 6, 6], "float": [1], "nested": [10],
             "tokens": [3, 0], "lying_array": [7], "utf8": [4]}
    for name, value in values.items():
        write("msgpack", name, bytes([len(reads[name])]) + bytes(reads[name]) + value)


def big(value):
    """An integer of the geometry target: one byte, two, or eight."""
    if 0 <= value < 200:
        return bytes([value])
    if 0 <= value < 65536:
        return b"\xc8" + struct.pack(">H", value)
    return b"\xff" + struct.pack(">q", value)


def tensor(dtype, shape, copies):
    """Dense, at offset 0, in a segment of just its size."""
    return (bytes([dtype, len(shape)]) + b"".join(map(big, shape)) + b"\0" + big(0) + b"\0\0" +
            bytes([copies]))


def group(engine_group, first, count, tokens_per_block, window=None):
    out = big(engine_group) + bytes([first, count, 1]) + big(tokens_per_block)
    out += b"\0" if window is None else b"\1" + big(window)
    return out + b"\1\1"


def geometry():
    # chunk 256, separate groups, CPU, vllm; hints; tensors; groups
    start = bytes([8, 0, 0, 0])
    nhd, hnd, none = bytes([1, 0]), bytes([1, 1]), bytes([0])
    write("geometry", "dense", start + nhd + b"\1" + tensor(0, [8, 2, 16, 4, 8], 3) + b"\1" +
          group(0, 0, 4, 16))
    write("geometry", "hnd", start + hnd + b"\1" + tensor(0, [8, 2, 16, 4, 8], 1) + b"\1" +
          group(0, 0, 2, 16))
    write("geometry", "mla", start + none + b"\1" + tensor(0, [8, 64, 72], 1) + b"\1" +
          group(0, 0, 2, 64))
    write("geometry", "windows", start + nhd + b"\2" + tensor(0, [8, 2, 16, 4, 8], 1) +
          tensor(0, [8, 2, 16, 2, 8], 1) + b"\2" + group(0, 0, 2, 16) + group(1, 2, 2, 16, 128))
    write("geometry", "rows", start + bytes([1, 2]) + b"\1" + tensor(3, [8, 1, 64, 132], 1) + b"\1" +
          group(0, 0, 2, 256))


def dispatcher():
    def happens(peer, what, *arguments):
        return bytes([peer, what, *arguments])

    def key(chunks, seed):
        return [chunks, seed, 1, 1, 0]  # from the start, one reader, nothing odd

    register = happens(0, 1, 0, 0, 1)
    store = happens(0, 3, 0, 0, *key(4, 0), 1, *range(8), 1)
    lookup, wait = happens(0, 5, 0, 0, *key(4, 0), 1), happens(0, 7, 0, 0, 2, 1)
    retrieve = happens(0, 4, 0, 0, *key(4, 0), 1, *range(8), 0, 1)
    free, end = happens(0, 8, 0, 0, *key(4, 0), 1), happens(0, 9, 0, 0, 1)
    more = happens(0, 3, 0, 0, *key(4, 1), 1, *range(8), 1)
    write("dispatcher", "serve", register + store + lookup + wait + retrieve + end)
    write("dispatcher", "free", register + store + lookup + free + end + happens(0, 10, 0, 0, 0, 1))
    write("dispatcher", "evict", register + store + more + store + lookup + wait + retrieve)
    write("dispatcher", "vanish", register + store + lookup + happens(0, 12) + lookup + wait)
    write("dispatcher", "late", register + store + lookup + happens(0, 13, 255, *([0] * 6), 3, 231) + retrieve)
    write("dispatcher", "raw", happens(0, 0, 1) + sized([b"\1", b"\x18"]) + happens(1, 0, 1) +
          sized([b"\1", b""]) + happens(0, 0, 0) + sized([b"\1"]))


for make in (requests, msgpack, geometry, dispatcher):
    make()
