"""Drives the published client package as an inference engine does: paged KV tensors in shared memory, block tables, and the
calls of a scheduler and its workers. Everything that goes over the wire is encoded by the package.
"""

import itertools
import os
import random
from dataclasses import dataclass, replace
from multiprocessing import shared_memory

os.environ.setdefault("LMCACHE_DISABLE_BANNER", "1")
os.environ.setdefault("LMCACHE_LOG_LEVEL", "CRITICAL")
os.environ.setdefault("LMCACHE_TRACK_USAGE", "false")

import torch
from lmcache.utils import EngineType
from lmcache.v1.multiprocess.custom_types import IPCCacheServerKey
from lmcache.v1.multiprocess.group_view import EngineGroupInfo
from lmcache.v1.multiprocess.transport.zmq_impl import create_request_client
from lmcache.v1.platform.devices.cpu.shm import CpuShmTensorWrapper
from lmcache.v1.platform.kv_wrap import wrap_kv_caches

from server import PATIENCE

EVENT = b"stub_ipc_handle"  # what a CPU worker's exported event looks like
torch.set_num_threads(1)  # tensors here are small, and the server needs a core

CARRIER = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_ids = itertools.count(1)


def connect(url, context):
    return create_request_client(url, context=context)


def unique(name):
    return f"{name}-{os.getpid()}-{next(_ids)}"


def tokens(count, seed=None):
    rng = random.Random(seed if seed is not None else next(_ids) * 7919)
    return [rng.randrange(1 << 17) for _ in range(count)]


@dataclass
class Group:
    """Tensors of one shape in one engine group. `shape` is one layer's, with None where the blocks are counted."""

    engine_group: int
    layers: int
    tokens_per_block: int
    shape: tuple
    dtype: torch.dtype = torch.bfloat16
    window: int = -1
    fold: int = 1  # rows of the block axis that make a block (where blocks and their rows share an axis)
    page: int = 0  # bytes of a block of one layer inside a shared pool; 0: a tensor of its own

    @property
    def axis(self):
        return self.shape.index(None)


def dense(layers=2, block=16, heads=2, size=64, dtype=torch.bfloat16, engine_group=0, window=-1):
    return Group(engine_group, layers, block, (None, 2, block, heads, size), dtype, window)


def deepseek_v4(scale=1, layout="BLHNC"):
    """The eight kernel groups of DeepSeek-V4-Flash, every page a view of one pool whose blocks all groups share."""
    byte, real = torch.uint8, torch.float32

    def group(engine_group, layers, per_block, rows, width, dtype, page, window):
        shape = (None, 1, rows, width) if layout == "BLHNC" else (None, rows, 1, width)
        return Group(engine_group, layers, per_block, shape, dtype, window, page=page)

    c4, c128 = 2 * scale, scale
    return [
        group(0, 2 * scale, 64, 64, 584, byte, 37440, 128),  # sliding-window latents, two engine groups of them
        group(1, scale, 64, 64, 584, byte, 37440, 128),
        group(2, c4, 256, 64, 132, byte, 8640, -1),  # indexer keys
        group(3, c4, 4, 4, 512, real, 8640, 8),  # state of the indexer's compressor
        group(2, c4, 256, 64, 584, byte, 37440, -1),  # latents compressed 4:1
        group(3, c4, 4, 4, 2048, real, 32832, 8),
        group(2, c128, 256, 2, 584, byte, 1728, -1),  # latents compressed 128:1
        group(4, c128, 8, 8, 1024, real, 32832, 128),
    ]


class Engine:
    """One worker: its tensors, its block tables, and the calls a scheduler and this worker make about a request.

    Every block table is a random permutation without block 0 (the null block) and with one block nobody uses.
    """

    def __init__(self, client, groups, capacity, *, model=None, chunk=256, world_size=1, worker_id=0, salt="", readers=1,
                 hints=None, engine_type=EngineType.VLLM, infos=None, separate=True, seed=0):
        self.client, self.groups, self.chunk, self.separate = client, list(groups), chunk, separate
        self.model = model or unique("model")
        self.world_size, self.worker_id, self.salt, self.readers = world_size, worker_id, salt, readers
        self.engine_type = engine_type
        self.hints = hints if hints is not None else {"kv_layout": "NHD"}
        self.instance = random.SystemRandom().getrandbits(62)
        self.rng = random.Random(seed)
        needed = {g.engine_group: capacity // g.tokens_per_block for g in self.groups}
        pooled = any(g.page for g in self.groups)
        self.tables, taken = {}, 1
        for engine_group, count in needed.items():
            ids = [taken + i for i in range(count)]
            self.rng.shuffle(ids)
            self.tables[engine_group] = ids
            if pooled:
                taken += count
        self.segment = None
        self.views = []  # (group index, tensor)
        if pooled:
            self._make_pool(taken + 1)
        else:
            self._make_tensors({e: n + 2 for e, n in needed.items()})
        if infos is None:
            infos, at = [], 0
            for g in self.groups:
                infos.append(EngineGroupInfo(g.engine_group, tuple(range(at, at + g.layers)), g.tokens_per_block, g.window))
                at += g.layers
        self.infos = infos

    # Memory

    def _make_tensors(self, blocks):
        for index, g in enumerate(self.groups):
            shape = [blocks[g.engine_group] * g.fold if n is None else n for n in g.shape]
            self.views += [(index, torch.zeros(shape, dtype=g.dtype)) for _ in range(g.layers)]

    def _make_pool(self, blocks):
        used = dict.fromkeys(self.tables, 0)
        for g in self.groups:
            used[g.engine_group] += g.page * g.layers
        stride = -(-max(used.values()) // 576) * 576
        self.segment = shared_memory.SharedMemory(create=True, size=blocks * stride)
        self.pool = torch.frombuffer(self.segment.buf, dtype=torch.uint8)[: blocks * stride]
        at = dict.fromkeys(self.tables, 0)
        for index, g in enumerate(self.groups):
            item = g.dtype.itemsize
            inner = [n for n in g.shape if n is not None]
            strides = [1]
            for n in reversed(inner[1:]):
                strides.insert(0, strides[0] * n)
            for _ in range(g.layers):
                view = torch.as_strided(self.pool.view(g.dtype), (blocks, *inner), (stride // item, *strides),
                                        at[g.engine_group] // item)
                at[g.engine_group] += g.page
                self.views.append((index, view))

    def close(self):
        """Frees the shared memory this engine made by itself."""
        if self.segment is not None:
            self.views, self.pool = [], None
            self.segment.close()
            self.segment.unlink()
            self.segment = None

    def wrappers(self):
        """Descriptors of the tensors. Padded views are described as a GPU worker's would be: the package's own shared-memory
        exporter takes contiguous tensors only."""
        if self.segment is None:
            return wrap_kv_caches({f"layer.{i}": t for i, (_, t) in enumerate(self.views)})
        out = []
        for _, t in self.views:
            w = object.__new__(CpuShmTensorWrapper)
            w.shm_name, w.nbytes, w.handle = "/" + self.segment.name.lstrip("/"), self.pool.numel(), None
            w.dtype, w.shape, w.stride = t.dtype, tuple(t.shape), tuple(t.stride())
            w.storage_offset, w.device_uuid = t.storage_offset(), "cpu"
            out.append(w)
        return out

    def _buffers(self):
        """All memory as bytes, each storage once, and per view the buffer it lies in."""
        if self.segment is not None:
            return [self.pool], [0] * len(self.views)
        buffers = []
        for _, t in self.views:
            buffers.append(torch.empty(0, dtype=torch.uint8).set_(t.untyped_storage()))
        return buffers, list(range(len(buffers)))

    def fill(self, seed):
        generator = torch.Generator().manual_seed(seed)
        for buffer in self._buffers()[0]:
            whole = buffer.numel() // 8 * 8
            buffer[:whole].view(torch.int64).random_(generator=generator)
            buffer[whole:] = 7

    def bytes(self):
        return [b.clone() for b in self._buffers()[0]]

    def _view_of(self, buffers, index):
        _, t = self.views[index]
        buffer = buffers[self._buffers()[1][index]]
        whole = buffer.numel() // t.element_size() * t.element_size()
        return torch.as_strided(buffer[:whole].view(CARRIER[t.element_size()]), t.shape, t.stride(), t.storage_offset())

    def expect(self, before, stored, written):
        """The memory `before` with the blocks written[group] as they were in `stored`."""
        out = [b.clone() for b in before]
        for index, (g, _) in enumerate(self.views):
            group = self.groups[g]
            target, source = self._view_of(out, index), self._view_of(stored, index)
            for block in written[g]:
                at, n = block * group.fold, group.fold
                target.narrow(group.axis, at, n).copy_(source.narrow(group.axis, at, n))
        return out

    def differing(self, expected):
        """How many bytes are not as expected."""
        return sum(int((a != b).sum()) for a, b in zip(self._buffers()[0], expected))

    # Requests

    def register(self):
        self.client.register_kv_cache(self.instance, self.wrappers(), self.model, self.world_size, self.engine_type, self.hints,
                                      self.infos).result(timeout=PATIENCE)
        return self

    def unregister(self):
        self.client.unregister_kv_cache(self.instance).result(timeout=PATIENCE)

    def key(self, toks, start, end, rid, worker=True, **changes):
        key = IPCCacheServerKey(self.model, self.world_size, self.worker_id if worker else None, tuple(toks), start, end, rid,
                                self.salt, None, self.readers)
        return replace(key, **changes) if changes else key

    def whole(self, toks):
        return len(toks) // self.chunk * self.chunk

    def blocks(self, start, end):
        """One list per kernel group: the table's ids for tokens [start, end)."""
        return [self.tables[g.engine_group][start // g.tokens_per_block:end // g.tokens_per_block] for g in self.groups]

    def written(self, ids, start, end, skip=0):
        """Blocks a retrieve of [start, end) writes, per group."""
        out = []
        chunks = (end - start) // self.chunk
        for g, list_of_ids in zip(self.groups, ids):
            per_chunk = self.chunk // g.tokens_per_block
            windowed = g.window > 0
            kept_chunks = min(chunks, -(-g.window // self.chunk)) if windowed and self.separate else chunks
            kept_ids = g.window // g.tokens_per_block if windowed and g.window < self.chunk else per_chunk
            out.append([
                block for j, block in enumerate(list_of_ids)
                if j // per_chunk >= chunks - kept_chunks and j % per_chunk >= per_chunk - kept_ids
                and j >= skip // g.tokens_per_block and block != 0
            ])
        return out

    def send_store(self, toks, rid, start=0, end=None, blocks=None, event=EVENT):
        end = self.whole(toks) if end is None else end
        return self.client.store(self.key(toks, start, end, rid), self.instance,
                                 self.blocks(start, end) if blocks is None else blocks, event)

    def store(self, *args, **kwargs):
        return bool(self.send_store(*args, **kwargs).result(timeout=PATIENCE)[1])

    def send_lookup(self, toks, rid, end=None):
        end = self.whole(toks) if end is None else end
        return self.client.lookup(self.key(toks, 0, end, rid, worker=False), self.world_size)

    def lookup(self, toks, rid, end=None):
        """The hit in chunks."""
        self.send_lookup(toks, rid, end).result(timeout=PATIENCE)
        return self.client.wait_prefetch_status(rid, float(PATIENCE)).result(timeout=PATIENCE)

    def hit(self, toks, end=None):
        """The hit in chunks, without keeping anything leased."""
        rid = unique("probe")
        found = self.lookup(toks, rid, end)
        self.end(rid)
        return found

    def send_retrieve(self, toks, rid, start=0, end=None, blocks=None, skip=0, event=EVENT):
        end = self.whole(toks) if end is None else end
        return self.client.retrieve(self.key(toks, start, end, rid), self.instance,
                                    self.blocks(start, end) if blocks is None else blocks, event, skip)

    def retrieve(self, *args, **kwargs):
        return bool(self.send_retrieve(*args, **kwargs).result(timeout=PATIENCE)[1])

    def send_free(self, toks, rid, start=0, end=None, **changes):
        end = self.whole(toks) if end is None else end
        return self.client.free_lookup_locks(self.key(toks, start, end, rid, worker=False, **changes), self.world_size)

    def free(self, *args, **kwargs):
        self.send_free(*args, **kwargs).result(timeout=PATIENCE)

    def end(self, rid):
        self.client.end_session(rid).result(timeout=PATIENCE)

    def clear(self, force=False):
        self.client.clear(force).result(timeout=PATIENCE)
