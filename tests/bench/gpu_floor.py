"""About what the published client would take on a GPU with a server that needs no time, beside what it takes with a real one.

usage: gpu_floor.py FOLDER_OF_KVCLIENT ROUNDS URL     on a machine with a GPU, against a running server of at least 40 GB

The floor of a transfer is the client's own way from its call to the message's arrival, at a ROUTER in a process of its own that spins
and answers with the time it saw, and one DMA of as many bytes between a tensor and pinned memory. It is an estimate: libzmq's I/O thread
has to wake up there as well. Each round measures the arrival and the real server.
Without a GPU (KV_CPU=1) only the arrivals are measured.
"""
import multiprocessing
import os
import statistics
import sys
import time

from gpu_client import LAYOUTS, timed  # first: it finds kvclient
import torch
import zmq
from kvclient import DEV, Engine, client, event_handle

ROUNDS = int(sys.argv[2])
WARM = min(5, ROUNDS // 2)  # rounds that are not counted
GPU = DEV.type == "cuda"
MEGABYTES = {  # that a store and a retrieve move
    "dense bf16, 8192 tokens": (1073.74, 1073.74),
    "dense bf16, 256 tokens": (33.55, 33.55),
    "DeepSeek-V4-Flash, 4096 tokens": (262.53, 31.16),
    "DeepSeek-V4-Flash, 256 tokens": (16.41, 16.41),
}


def answer_at_once(port):
    """Answers STORE and RETRIEVE: [uid, operation, [time of arrival as 8 bytes, false]]."""
    router = zmq.Context().socket(zmq.ROUTER)
    port.send(router.bind_to_random_port("tcp://127.0.0.1"))
    while True:
        try:
            peer, uid, operation, *_ = router.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            continue
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC).to_bytes(8, "big")
        router.send_multipart([peer, uid, operation, b"\x92\xc4\x08" + now + b"\xc2"])


def dma_ms(direction, megabytes):
    """The least of ten."""
    size = int(megabytes * 1e6)
    device, host = torch.empty(size, dtype=torch.uint8, device=DEV), torch.empty(size, dtype=torch.uint8, pin_memory=True)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    times = []
    for _ in range(10):
        torch.cuda.synchronize()
        begin.record()
        host.copy_(device, non_blocking=True) if direction == "store" else device.copy_(host, non_blocking=True)
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return min(times)


def arrival_ms(engine, tokens, request, direction):
    ids = engine.blocks(0, len(tokens), 1)
    begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    key = engine.key(tokens, 0, len(tokens), request)
    event = event_handle()
    call = engine.c.store(key, engine.iid, ids, event) if direction == "store" else engine.c.retrieve(key, engine.iid, ids, event, 0)
    seen, _ = call.result(timeout=10)
    return (int.from_bytes(seen, "big") - begin) / 1e6


def main():
    ours, theirs = multiprocessing.Pipe()
    bare_server = multiprocessing.get_context("fork").Process(target=answer_at_once, args=(theirs,), daemon=True)
    bare_server.start()
    bare, real = client(f"tcp://127.0.0.1:{ours.recv()}"), client(sys.argv[3])
    for name, (groups, count) in LAYOUTS.items():
        engine = Engine(real, f"floor/{name}", groups(), count)
        engine.register()
        engine.fill(1)
        tokens = [int(token) for token in torch.randint(0, 120000, (count,))]
        arrivals, times = {"store": [], "retrieve": []}, {"store": [], "retrieve": []}
        for turn in range(ROUNDS):
            tokens[0] = 500000 + turn
            for direction in arrivals:
                request, tries = engine.lookup_until(tokens, f"w{turn}{direction}", count // 256, tries=1)  # warms the client
                if tries == 0:
                    engine.free(tokens, request)
                    engine.end(request)
                engine.c = bare
                arrivals[direction].append(arrival_ms(engine, tokens, f"b{turn}", direction))
                engine.c = real
                if direction == "store":
                    times[direction].append(1e3 * timed(lambda: engine.store(tokens, f"s{turn}")))
                    continue
                request, tries = engine.lookup_until(tokens, f"r{turn}", count // 256)
                if tries < 0:
                    sys.exit("no hit")
                times[direction].append(1e3 * timed(lambda: engine.retrieve(tokens, request)))
                engine.end(request)
        for direction, size in zip(arrivals, MEGABYTES[name]):
            arrival, took = arrivals[direction][WARM:], times[direction][WARM:]
            text = f"{name}, {direction}:".ljust(42) + f"arrives after {min(arrival):.2f} (median {statistics.median(arrival):.2f}) ms"
            if GPU:
                dma = dma_ms(direction, size)
                floor = dma + min(arrival)
                text += f" | DMA {dma:.2f} | floor {floor:.2f} ({dma / floor:.1%} of a DMA)"
                text += f" | with the server {min(took):.2f} (median {statistics.median(took):.2f}; {dma / min(took):.1%})"
            print(text, flush=True)
        real.clear().result(timeout=30)
        real.unregister_kv_cache(engine.iid).result(timeout=10)
        del engine
        if GPU:
            torch.cuda.empty_cache()
    sys.stdout.flush()
    bare_server.kill()  # it spins, and _exit would leave it
    os._exit(0)


if __name__ == "__main__":
    main()
