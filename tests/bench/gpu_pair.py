"""Servers asked in turn by one client: stores and retrieves, and what each server's take differs from the first one's.

usage: gpu_pair.py FOLDER_OF_KVCLIENT ROUNDS URL URL...     servers of at least 40 GB; on a machine with a GPU (without one: KV_CPU=1)
"""
import os
import statistics
import sys

from gpu_client import LAYOUTS, timed  # first: it finds kvclient
import torch
from kvclient import DEV, Engine, client

ROUNDS = int(sys.argv[2])
WARM = min(5, ROUNDS // 2)  # rounds that are not counted


def show(what, times):
    """`times`: a list for each server, in the order of the rounds."""
    counted = [server[WARM:] for server in times]
    text = [f"least {min(one) * 1e3:.3f} median {statistics.median(one) * 1e3:.3f} ms" for one in counted]
    for other in counted[1:]:
        difference = statistics.median(b - a for a, b in zip(counted[0], other))
        text.append(f"median of differences {difference * 1e6:+.0f} us")
    print(what.ljust(42), " | ".join(text), flush=True)


clients = [client(url) for url in sys.argv[3:]]
for name, (groups, count) in LAYOUTS.items():
    engines = [Engine(one, f"pair/{name}", groups(), count) for one in clients]
    for engine in engines:
        engine.register()
        engine.fill(1)
    if DEV.type == "cuda":
        torch.cuda.synchronize()
    tokens = [int(token) for token in torch.randint(0, 120000, (count,))]
    stores, retrieves = [[] for _ in engines], [[] for _ in engines]
    for turn in range(ROUNDS):
        tokens[0] = 500000 + turn
        order = list(range(len(engines)))
        for i in order if turn % 2 == 0 else reversed(order):
            engine = engines[i]
            stores[i].append(timed(lambda: engine.store(tokens, f"s{turn}")))
            request, tries = engine.lookup_until(tokens, f"r{turn}", count // 256)
            if tries < 0:
                sys.exit("no hit")
            retrieves[i].append(timed(lambda: engine.retrieve(tokens, request)))
            engine.end(request)
    show(name + ", store", stores)
    show(name + ", retrieve", retrieves)
    for one, engine in zip(clients, engines):
        one.clear().result(timeout=30)
        one.unregister_kv_cache(engine.iid).result(timeout=10)
    del engine, engines
    if DEV.type == "cuda":
        torch.cuda.empty_cache()
sys.stdout.flush()
os._exit(0)
