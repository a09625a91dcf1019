"""A bf16 matmul in the engine's own process, alone and beside full-speed stores and retrieves.

usage: gpu_matmul.py FOLDER_OF_KVCLIENT URL [seconds]     on a machine with a GPU, against a running server
"""
import os
import sys
import threading
import time

sys.path.insert(0, sys.argv[1])
import torch  # noqa: E402
from kvclient import Engine, client, deepseek_v4, dense, finish  # noqa: E402

N = 8192
SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 3.0
left, right = (torch.randn(N, N, device="cuda", dtype=torch.bfloat16) for _ in range(2))
product = torch.empty_like(left)
side = torch.cuda.Stream()


def matmul(seconds):
    """TFLOP/s with at most eight products queued."""
    begin, count, events = time.time(), 0, []
    while time.time() - begin < seconds:
        torch.mm(left, right, out=product)
        count += 1
        events.append(torch.cuda.Event(blocking=True))
        events[-1].record()
        if len(events) > 8:
            events.pop(0).synchronize()
    torch.cuda.current_stream().synchronize()
    return count * 2 * N**3 / (time.time() - begin) / 1e12


def copies(engine, tokens, what, stop, result):
    with torch.cuda.stream(side):
        ids = [int(x) for x in torch.randint(0, 120000, (tokens,))]
        count, busy, request = 0, 0.0, None
        engine.store(ids, "first")
        while not stop.is_set():
            if what == "store":
                ids[0] = 900000 + count
            else:
                request, _ = engine.lookup_until(ids, f"r{count}", tokens // 256)
            begin = time.time()
            reply = engine.store(ids, f"s{count}") if what == "store" else engine.retrieve(ids, request)
            assert finish(reply)
            busy += time.time() - begin
            if request:
                engine.end(request)
            count += 1
        result.append((count, busy))


connection = client(sys.argv[2])
MODELS = [("DeepSeek-V4-Flash, 4096 tokens", "ds", deepseek_v4(22, 21, 21, 20), 4096, {"store": 262.5, "retrieve": 31.2}),
          ("dense bf16, 8192 tokens", "dense", dense(32, 16, 8, 128), 8192, {"store": 1073.7, "retrieve": 1073.7})]
for name, model, groups, tokens, megabytes in MODELS:
    engine = Engine(connection, model, groups, tokens)
    engine.register()
    engine.fill(1)
    torch.cuda.synchronize()
    for what in ("store", "retrieve"):
        before, stop, result = matmul(SECONDS), threading.Event(), []
        thread = threading.Thread(target=copies, args=(engine, tokens, what, stop, result))
        thread.start()
        time.sleep(0.3)
        beside = matmul(SECONDS)
        stop.set()
        thread.join()
        alone = (before + matmul(SECONDS / 2)) / 2
        count, busy = result[0]
        print(f"{name}, {what}: matmul {alone:.1f} TFLOP/s alone, {beside:.1f} beside ({100 * (1 - beside / alone):.1f} % slower); "
              f"{count} of {megabytes[what]} MB, {megabytes[what] * count / busy / 1e3:.1f} GB/s, {busy / count * 1e3:.2f} ms each", flush=True)
    connection.unregister_kv_cache(engine.iid).result(timeout=10)
    del engine
    torch.cuda.empty_cache()
os._exit(0)
