"""What the programs share that time the published client's transfers; their first argument is the folder of kvclient."""
import sys
import time

sys.path.insert(0, sys.argv[1])
from kvclient import deepseek_v4, dense, finish  # noqa: E402

LAYOUTS = {  # groups, tokens
    "dense bf16, 8192 tokens": (lambda: dense(32, 16, 8, 128), 8192),
    "dense bf16, 256 tokens": (lambda: dense(32, 16, 8, 128), 256),
    "DeepSeek-V4-Flash, 4096 tokens": (lambda: deepseek_v4(22, 21, 21, 20), 4096),
    "DeepSeek-V4-Flash, 256 tokens": (lambda: deepseek_v4(22, 21, 21, 20), 256),
}


def timed(call):
    """Seconds until the event that answers a store or retrieve is over."""
    begin = time.perf_counter()
    if not finish(call()):
        sys.exit("a server answered false")
    return time.perf_counter() - begin
