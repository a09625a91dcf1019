"""What a scheduler waits for on a hit, with the published client: lookup, wait, free, end_session.

usage: sequence_bench.py ROUNDS NAME=URL...      (run it with the client's own Python)

131,072 tokens, four object groups, 8 ranks. A server named "floor" only answers; every other one
is given the sequence first. All of them are measured in turn in every round. Prints one JSON object.
"""
import json
import os
import sys
import time

os.environ.setdefault("LMCACHE_DISABLE_BANNER", "1")
os.environ.setdefault("LMCACHE_LOG_LEVEL", "ERROR")
os.environ.setdefault("LMCACHE_TRACK_USAGE", "false")
import torch
import zmq
from lmcache.utils import EngineType
from lmcache.v1.multiprocess.custom_types import IPCCacheServerKey
from lmcache.v1.multiprocess.group_view import EngineGroupInfo
from lmcache.v1.multiprocess.transport.zmq_impl import create_request_client
from lmcache.v1.platform.kv_wrap import wrap_kv_caches

RANKS, CHUNK, CHUNKS = 8, 256, 512
TOKENS = tuple((i * 2654435761 + 12345) % 129280 for i in range(CHUNK * CHUNKS))
WINDOWS = (-1, 256, 512, 1024)
MODEL = "sequence-bench"
TIMEOUT = 120


def key(request, worker=None):
    return IPCCacheServerKey(MODEL, RANKS, worker, TOKENS, 0, len(TOKENS), request, "", None, 1)


def run_sequence(client, request):
    """Seconds of each of the four calls, and the hit in chunks."""
    asked = key(request)
    marks = [time.perf_counter()]
    client.lookup(asked, 1).result(timeout=TIMEOUT)
    marks.append(time.perf_counter())
    hit = client.wait_prefetch_status(request, float(TIMEOUT)).result(timeout=TIMEOUT)
    marks.append(time.perf_counter())
    client.free_lookup_locks(asked, 1).result(timeout=TIMEOUT)
    marks.append(time.perf_counter())
    client.end_session(request).result(timeout=TIMEOUT)
    marks.append(time.perf_counter())
    return [end - begin for begin, end in zip(marks, marks[1:])], hit


def store_sequence(client):
    """The sequence for every rank; all ranks share one set of small tensors."""
    layers = {f"layer.{i}": torch.zeros(CHUNKS + 1, 2, CHUNK, 1, 8, dtype=torch.bfloat16)
              for i in range(len(WINDOWS))}
    tensors = wrap_kv_caches(layers)
    groups = [EngineGroupInfo(i, (i,), CHUNK, window) for i, window in enumerate(WINDOWS)]
    blocks = [list(range(1, CHUNKS + 1))] * len(WINDOWS)
    for rank in range(RANKS):
        instance = 1000 + rank
        client.register_kv_cache(instance, tensors, MODEL, RANKS, EngineType.VLLM,
                                 {"kv_layout": "NHD"}, groups).result(timeout=TIMEOUT)
        _, stored = client.store(key(f"store-{rank}", rank), instance, blocks,
                                 b"stub_ipc_handle").result(timeout=TIMEOUT)
        assert stored, "the server did not store the sequence"
    for attempt in range(200):  # a store's reply may come before lookups see it
        if run_sequence(client, f"visible-{attempt}")[1] == CHUNKS:
            return layers
        time.sleep(0.05)
    raise SystemExit("the stored sequence never became visible")


def main():
    rounds = int(sys.argv[1])
    clients, keep, results = {}, [], {}
    for argument in sys.argv[2:]:
        name, url = argument.split("=", 1)
        clients[name] = create_request_client(url, context=zmq.Context())
        if name != "floor":
            keep.append(store_sequence(clients[name]))
        run_sequence(clients[name], "warm-up")
    for i in range(rounds):
        for name, client in clients.items():
            seconds, hit = run_sequence(client, f"r{i}")
            assert hit == CHUNKS, f"{name} hit {hit} chunks of {CHUNKS}"
            results.setdefault(f"{name}.sequence_ms", []).append(sum(seconds) * 1e3)
            for call, value in zip(("lookup", "wait", "free", "end"), seconds):
                results.setdefault(f"{name}.{call}_ms", []).append(value * 1e3)
    print(json.dumps(results))


main()
