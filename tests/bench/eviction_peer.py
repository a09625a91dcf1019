"""Eviction policies side by side: ours in the simulator, the published server's own classes beside it.

    eviction_peer.py --binary build/release/src/app/lmcache [--layout dense] [--requests N] [WORKLOAD...]

Needs the published client's Python (tests/run_all.sh published_client makes it), whose package holds
the server's LRU and ARC classes. These run unchanged inside the smallest model of that server's L1
that has its rules: a pool in bytes; once a second of the trace's time, when four fifths are in use, a
fifth of the tracked keys is evicted; a step of a store whose objects do not fit is dropped; a lookup
and the end of a request touch what was hit. Whether windows are objects of their own follows
--separate: that server's default is one object per chunk.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from lmcache.v1.distributed.api import ObjectKey
from lmcache.v1.distributed.eviction_policy.arc import ARCEvictionPolicy
from lmcache.v1.distributed.eviction_policy.lru import LRUEvictionPolicy

ALIGN = 4096
CHUNK = 256
BLOCK = 512
STEP_CHUNKS = 32
WATERMARK, RATIO = 0.8, 0.2
GIB = 1 << 30
# (bytes per chunk, window in chunks or None); the same numbers as src/sim/model_layout.cpp
LAYOUTS = {
    "dense": [(33_554_432, None)],
    "deepseek-v3.2": [(12_305_408, None)],
    "deepseek-v4-flash": [(985_664, None), (15_420_416, 1)],
    "hybrid": [(6_291_456, None), (3_145_728, 1)],
}


def rounded(size: int) -> int:
    return (size + ALIGN - 1) // ALIGN * ALIGN


class PeerL1:
    """The published server's L1, reduced to what decides a hit."""

    def __init__(self, policy, groups, capacity):
        self.policy, self.groups, self.capacity = policy, groups, capacity
        self.resident: dict[ObjectKey, int] = {}
        self.used = 0
        self.second = 0

    def key(self, chunk, group, salt):
        return ObjectKey(
            chunk_hash=chunk, model_name="model", kv_rank=0, object_group_id=group, cache_salt=salt
        )

    def tick(self, now_ms):
        """The eviction loop sleeps a second between looks; long pauses bring several."""
        seconds = min(now_ms // 1000 - self.second, 20)
        self.second = now_ms // 1000
        for _ in range(seconds):
            if self.used < WATERMARK * self.capacity:
                return
            for action in self.policy.get_eviction_actions(RATIO):
                for key in action.keys:
                    self.used -= self.resident.pop(key)
                self.policy.on_keys_removed(action.keys)

    def hit(self, chain, salt):
        """Longest prefix that every group can serve, and the keys it reads."""
        best = full = 0
        windowed = [g for g, (_, window) in enumerate(self.groups) if window]
        whole = [g for g, (_, window) in enumerate(self.groups) if not window]
        for i, chunk in enumerate(chain):
            if any(self.key(chunk, g, salt) not in self.resident for g in whole):
                break
            full = i + 1
            if all(self.key(chunk, g, salt) in self.resident for g in windowed):
                best = full
        keys = [self.key(chunk, g, salt) for g in whole for chunk in chain[:best]]
        keys += [self.key(chain[best - 1], g, salt) for g in windowed if best]
        return best, keys

    def store(self, chunks, salt):
        for group, (size, _) in enumerate(self.groups):
            keys = [self.key(chunk, group, salt) for chunk in chunks]
            keys = [key for key in keys if key not in self.resident]
            if not keys or self.used + len(keys) * rounded(size) > self.capacity:
                continue
            self.policy.on_keys_reserved(keys)
            for key in keys:
                self.resident[key] = rounded(size)
            self.used += len(keys) * rounded(size)
            self.policy.on_keys_created(keys)

    def serve(self, request):
        self.tick(request["timestamp"])
        salt = request.get("cache_salt", "")
        chain = chain_of(request)
        best, keys = self.hit(chain, salt)
        self.policy.on_keys_touched(keys)
        for first in range(best, len(chain), STEP_CHUNKS):
            self.store(chain[first : first + STEP_CHUNKS], salt)
        self.policy.on_keys_touched(keys)
        return best, len(chain)


def chain_of(request):
    known = min(request["input_length"], len(request["hash_ids"]) * BLOCK)
    return [
        b"%d/%d" % (request["hash_ids"][(i * CHUNK + CHUNK - 1) // BLOCK], i * CHUNK % BLOCK)
        for i in range(known // CHUNK)
    ]


def run_peer(trace, policy, groups, capacity):
    l1 = PeerL1(policy, groups, capacity)
    served = asked = 0
    for request in trace:
        hit, length = l1.serve(request)
        served += hit
        asked += length
    return served / asked


def run_ours(binary, trace_path, layout, sizes, policies):
    command = [binary, "bench", "eviction", "--trace", trace_path, "--layout", layout, "--json"]
    command += ["--policy", ",".join(policies)]
    command += ["--l1-size-gb", ",".join(f"{size:.6f}" for size in sizes)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--layout", default="dense", choices=sorted(LAYOUTS))
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--active", type=int, default=200)
    parser.add_argument("--pause", default="1:9", help="shortest pause in seconds, and its doublings")
    parser.add_argument("--separate", action="store_true", help="the peer separates windows too")
    parser.add_argument("--shares", default="16,8,4,2", help="pools: one so-many-th of what is stored")
    parser.add_argument("--policies", default="LRU,LFU,ARC,S3FIFO,WTINYLFU")
    parser.add_argument("workloads", nargs="*", default=["chat", "agents", "documents", "scans"])
    args = parser.parse_args()
    groups = LAYOUTS[args.layout]
    one_object = [(sum(size for size, _ in groups), None)]
    peer_groups = groups if args.separate else one_object
    policies = args.policies.split(",")
    pause, doublings = args.pause.split(":")
    print("| trace | pool GiB | unlimited | bound | " + " | ".join(policies) + " | peer LRU | peer ARC |")
    print("|---" * (6 + len(policies)) + "|")
    for workload in args.workloads:
        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder) / "trace.jsonl")
            subprocess.run(
                [args.binary, "bench", "trace", "--workload", workload, "--out", path]
                + ["--requests", str(args.requests), "--active", str(args.active)]
                + ["--pause-seconds", pause, "--pause-doublings", doublings],
                check=True,
            )
            trace = [json.loads(line) for line in open(path)]
            stored = len({(c, r.get("cache_salt")) for r in trace for c in chain_of(r)})
            footprint = stored * sum(rounded(size) for size, _ in one_object)
            sizes = [footprint / float(share) / GIB for share in args.shares.split(",")]
            ours = run_ours(args.binary, path, args.layout, sizes, policies)
        unlimited = next(row["hit_tokens"] for row in ours if row["policy"] == "unlimited")
        for size in sizes:
            at_size = {
                row["policy"]: row["hit_tokens"]
                for row in ours
                if "gib" in row and abs(row["gib"] - size) < 1e-5
            }
            peers = [
                run_peer(trace, policy(), peer_groups, int(size * GIB))
                for policy in (LRUEvictionPolicy, ARCEvictionPolicy)
            ]
            cells = [unlimited, at_size["bound"]] + [at_size[p] for p in policies] + peers
            print(f"| {workload} | {size:.1f} | " + " | ".join(f"{100 * c:.1f} %" for c in cells) + " |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
