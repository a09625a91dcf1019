"""Stores and retrieves at the same time, beside one large DMA each way at the same time.

usage: gpu_two_way.py FOLDER_OF_KVCLIENT URL [rounds]     on a machine with a GPU, against a running server of at least 12 GB
"""
import os
import sys
import time

sys.path.insert(0, sys.argv[1])
import torch  # noqa: E402
from kvclient import Engine, client, dense, event_handle, finish  # noqa: E402

ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 7
AT_ONCE = 4
GB = 1e9


def two_way_dma(size=1 << 30):
    """GB/s of `AT_ONCE` copies of `size` bytes each way."""
    device = [torch.empty(size, dtype=torch.uint8, device="cuda") for _ in range(2)]
    host = [torch.empty(size, dtype=torch.uint8, pin_memory=True) for _ in range(2)]
    streams = [torch.cuda.Stream(), torch.cuda.Stream()]

    def once():
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(AT_ONCE):
            with torch.cuda.stream(streams[0]):
                host[0].copy_(device[0], non_blocking=True)
            with torch.cuda.stream(streams[1]):
                device[1].copy_(host[1], non_blocking=True)
        torch.cuda.synchronize()
        return 2 * AT_ONCE * size / (time.perf_counter() - begin) / GB

    once()
    return max(once() for _ in range(ROUNDS))


def both(writer, reader, tokens, stored, restored):
    """Best GB/s of AT_ONCE stores by one engine and as many retrieves by another; all are sent before the first is waited for."""
    ids = [int(x) for x in torch.randint(0, 120000, (tokens,))]
    assert finish(writer.store(ids, "first"))
    best = 0.0
    for turn in range(ROUNDS):
        hits = [reader.lookup_until(ids, f"r{turn}.{k}", tokens // 256)[0] for k in range(AT_ONCE)]
        fresh = [[900000 + 1000 * turn + k] + ids[1:] for k in range(AT_ONCE)]
        begin = time.perf_counter()
        replies = []
        for k in range(AT_ONCE):
            replies.append(writer.c.store(writer.key(fresh[k], 0, tokens, f"s{turn}.{k}"), writer.iid, writer.blocks(0, tokens), event_handle()))
            replies.append(reader.c.retrieve(reader.key(ids, 0, tokens, hits[k]), reader.iid, reader.blocks(0, tokens), event_handle(), 0))
        assert all([finish(reply.result(timeout=30)) for reply in replies])
        best = max(best, AT_ONCE * (stored + restored) / (time.perf_counter() - begin) / GB)
        for name in hits:
            reader.end(name)
    return best


url = sys.argv[2]
floor = two_way_dma()
print(f"two-way DMA: {floor:.1f} GB/s", flush=True)
MODELS = [("dense bf16, 8192 tokens", "two/dense", dense(32, 16, 8, 128), 8192, 1073.7e6, 1073.7e6)]
for name, model, groups, tokens, stored, restored in MODELS:
    engines = [Engine(client(url), model, groups, tokens) for _ in range(2)]
    for engine in engines:
        engine.register()
        engine.fill(1)
    torch.cuda.synchronize()
    rate = both(*engines, tokens, stored, restored)
    print(f"{name}, stores and retrieves at once: {rate:.1f} GB/s, {100 * rate / floor:.1f} % of two-way DMA", flush=True)
    for engine in engines:
        engine.c.unregister_kv_cache(engine.iid).result(timeout=10)
os._exit(0)
