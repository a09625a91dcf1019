"""Every field of /status against the truth after known traffic.

`truth` is the whole document, so a field that it does not know fails the test, as one that is missing or wrong does.
"""

import os
import threading
import unittest

import zmq
from admin import AdminCase, Frozen, eventually
from kvclient import Engine, connect, deepseek_v4, dense, tokens, unique

OBJECT = 2 * 2 * 256 * 2 * 64 * 2  # bytes of a chunk of dense(): layers, K and V, tokens, heads, size, bfloat16
TOTAL = 1 << 28  # bytes of L1
FLAGS = ("--eviction-trigger-watermark", "0.7", "--eviction-ratio", "0.1", "--l1-write-ttl-seconds", "77",
         "--worker-reap-timeout-seconds", "33")


def dense_worker(engine, world_size=1, layers=2, block=16, heads=2, size=64, stored=0, retrieved=0):
    """What is told of a worker with one group of dense(...)."""
    blocks = engine.views[0][1].shape[0]
    return {"model_name": engine.model, "world_size": world_size, "stored_bytes": stored * OBJECT,
            "retrieved_bytes": retrieved * OBJECT, "kv_cache_layout": {
        "num_layers": layers, "num_blocks": blocks, "cache_size_per_token": layers * 2 * heads * size * 2,
        "kernel_groups": [{
            "kernel_group_idx": 0, "engine_group_idx": 0, "object_group_idx": 0, "num_layers": layers,
            "layer_indices": list(range(layers)), "tokens_per_block": block, "slots_per_block": block, "dtype": "torch.bfloat16",
            "engine_kv_concrete_shape": f"{layers} x [{blocks}, 2, {block}, {heads}, {size}]", "is_mla": False,
            "engine_kv_format": "NL_X_NB_TWO_BS_NH_HS", "engine_kv_shape": "NL x [NB, 2, BS, NH, HS]",
            "attention_backend": "vLLM non-MLA flash infer", "window_tokens": -1, "row_bytes": heads * size * 2}]}}


def truth(workers=(), resident=0, staged=0, leased=0, sessions=0, connections=0, accepted=0, stored=0, retrieved=0):
    """The document of a server started with FLAGS on a machine without a GPU, which has such objects, and `workers` of dense().

    `stored` and `retrieved`: objects that each of them has moved.
    """
    objects = resident + staged
    l1 = {"is_healthy": True, "total_object_count": objects, "write_locked_count": staged, "read_locked_count": leased,
          "temporary_count": 0, "staging_object_count": staged, "staging_bytes": staged * OBJECT,
          "memory_used_bytes": objects * OBJECT, "memory_total_bytes": TOTAL, "memory_configured_bytes": TOTAL,
          "capacity_bytes_by_backend": {"dram": TOTAL}, "memory_usage_ratio": objects * OBJECT / TOTAL,
          "write_ttl_seconds": 77, "read_ttl_seconds": 300}
    eviction = {"is_healthy": True, "thread_alive": True, "eviction_policy": "LFU", "trigger_watermark": 0.7, "eviction_ratio": 0.1}
    no_adapters = {"num_l2_adapters": 0, "num_active_adapters": 0, "num_draining_adapters": 0}
    store = {"is_healthy": True, "thread_alive": True, "pending_keys_count": 0, "in_flight_task_count": 0, **no_adapters}
    prefetch = {"is_healthy": True, "thread_alive": True, "max_in_flight": 0, "submission_queue_size": 0, "pending_queue_size": 0,
                "in_flight_request_count": 0, "lookup_phase_count": 0, "load_phase_count": 0, "completed_results_count": 0,
                **no_adapters}
    return {
        "is_healthy": True, "engine_type": "MPCacheServer", "chunk_size": 256, "hash_algorithm": "blake3",
        "active_sessions": sessions, "active_prefetch_jobs": 0, "active_p2p_lookup_jobs": 0, "p2p_enabled": False,
        "p2p_state": "unregistered", "p2p_peer_count": 0, "p2p_peers": [],
        "storage_manager": {
            "is_healthy": True, "l1_managers": {"_default": l1}, "store_controllers": {"_default": store},
            "l1_eviction_controllers": {"_default": eviction}, "prefetch_controller": prefetch,
            "l2_eviction_controller": {"is_healthy": True, "thread_alive": True, "adapters": []}, "l2_adapters": [],
            "num_l2_adapters": 0, "l1_usage": [objects * OBJECT, TOTAL], "l1_capacity_bytes_by_backend": {"dram": TOTAL},
            "l1_manager": l1, "store_controller": store, "l1_eviction_controller": eviction, "eviction_controller": eviction},
        "worker_liveness": {"enabled": True, "reap_timeout_seconds": 33, "registration_grace_seconds": 3600,
                            "tracked_instances": len(workers)},
        "kv_events": {"enabled": False, "incarnation": 0, "log_depth": 0, "log_capacity": 0, "next_seq": 0, "lost_markers": 0,
                      "unbound_stores": 0, "subscribers": 0},
        "registered_gpu_ids": sorted(worker.instance for worker in workers),
        "cache_context_meta": {
            str(worker.instance): dense_worker(worker, stored=stored, retrieved=retrieved) for worker in workers},
        # Nothing is pinned and nobody waits for it.
        "gpus": [],
        "l1_pinning": {"total_bytes": TOTAL, "touched_bytes": 0, "pinned_bytes": 0, "ready_bytes": TOTAL, "failed_parts": 0,
                       "seconds_left": 0, "error": ""},
        "connections": {"open": connections, "paused": 0, "accepted": accepted, "refused": 0, "unsent_bytes": 0}}


class StatusCase(AdminCase):
    flags = FLAGS
    maxDiff = None

    def status(self):
        answer = self.http().get("/status")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"))
        return answer.json


class EveryField(StatusCase):
    """On a server of its own, so that everything that has ever happened to it is known."""

    def test_after_known_traffic(self):
        self.assertEqual(self.status(), truth())
        engine = Engine(self.connect(), [dense()], 4096).register()
        there = {"connections": 1, "accepted": 1}
        self.assertEqual(self.status(), truth([engine], **there))
        toks, more = tokens(1024), tokens(512)
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertEqual(self.status(), truth([engine], resident=4, stored=4, **there))
        rid = unique("lookup")
        self.assertEqual(engine.lookup(toks[:768], rid), 3)
        self.assertEqual(self.status(), truth([engine], resident=4, leased=3, sessions=1, stored=4, **there))
        self.assertTrue(engine.retrieve(toks[:768], rid))
        engine.end(rid)
        self.assertEqual(self.status(), truth([engine], resident=4, stored=4, retrieved=3, **there))
        rid = unique("lookup")
        self.assertEqual(engine.lookup(toks[:256], rid), 1)
        engine.end(rid)  # gives back what was not retrieved
        with Frozen(self.server.process, "lmcache-copy"):
            storing = threading.Thread(target=engine.store, args=(more, unique("store")))
            storing.start()
            staging = eventually(lambda: (s := self.status()["storage_manager"])["l1_manager"]["staging_object_count"] and s,
                                 "the store waits for the copy thread")
        self.assertEqual(staging, truth(resident=4, staged=2)["storage_manager"])
        storing.join()
        self.assertEqual(self.status(), truth([engine], resident=6, stored=6, retrieved=3, **there))
        other = Engine(self.connect(), [dense()], 4096, model=engine.model).register()
        there = {"connections": 2, "accepted": 2}
        workers = self.status()["cache_context_meta"]
        self.assertEqual(workers, {str(engine.instance): dense_worker(engine, stored=6, retrieved=3),
                                   str(other.instance): dense_worker(other)})
        other.unregister()
        engine.register()
        self.assertEqual(self.status(), truth([engine], resident=6, **there))
        engine.unregister()
        self.assertEqual(self.status(), truth(resident=6, **there))


class Status(StatusCase):
    def test_workers_and_their_layouts(self):
        client = self.connect()
        flash = Engine(client, deepseek_v4(), 1024).register()
        self.addCleanup(flash.close)
        plain = Engine(client, [dense(layers=3, block=32, heads=4, size=128)], 1024, world_size=2, worker_id=1).register()
        # That the test before has closed its connection need not be known yet.
        status = eventually(lambda: (s := self.status())["connections"]["open"] == 1 and s, "one connection is open")
        self.assertEqual(status["registered_gpu_ids"], sorted([flash.instance, plain.instance]))
        self.assertEqual(status["worker_liveness"]["tracked_instances"], 2)
        meta = status["cache_context_meta"]
        self.assertEqual(set(meta), {str(flash.instance), str(plain.instance)})
        self.assertEqual(meta[str(plain.instance)], dense_worker(plain, 2, layers=3, block=32, heads=4, size=128))
        layout = meta[str(flash.instance)]["kv_cache_layout"]
        self.assertEqual(layout["num_layers"], sum(g.layers for g in flash.groups))
        self.assertEqual(layout["num_blocks"], flash.views[0][1].shape[0])
        for told, group, first in zip(layout["kernel_groups"], flash.groups, (0, 2, 3, 5, 7, 9, 11, 12)):
            self.assertEqual(told["engine_group_idx"], group.engine_group)
            self.assertEqual(told["layer_indices"], list(range(first, first + group.layers)))
            self.assertEqual(told["tokens_per_block"], group.tokens_per_block)
            self.assertEqual(told["window_tokens"], group.window)
            self.assertEqual(told["dtype"], str(group.dtype))
        # Sliding-window groups share an object group, the others have another.
        self.assertEqual([g["object_group_idx"] for g in layout["kernel_groups"]], [0, 0, 1, 0, 1, 0, 1, 0])
        plain.unregister()
        self.assertEqual(self.status()["registered_gpu_ids"], [flash.instance])
        flash.unregister()

    def test_a_transfer_that_fails_moves_nothing(self):
        engine = Engine(self.connect(), deepseek_v4(), 1024).register()
        self.addCleanup(engine.close)

        def stored():
            return self.status()["cache_context_meta"][str(engine.instance)]["stored_bytes"]

        self.assertTrue(engine.store(tokens(256), unique("store")))
        before = stored()
        self.assertGreater(before, 0)
        path = "/dev/shm/" + engine.segment.name.lstrip("/")
        os.truncate(path, 4096)  # to read beyond is a fault
        self.assertFalse(engine.store(tokens(512), unique("store")))
        os.truncate(path, engine.segment.size)
        self.assertEqual(stored(), before)
        engine.unregister()

    def test_a_worker_goes_with_its_connection(self):
        context = zmq.Context()
        client = connect(self.server.url, context)
        engine = Engine(client, [dense()], 1024).register()
        self.assertIn(engine.instance, self.status()["registered_gpu_ids"])
        client.close()
        context.destroy(0)
        eventually(lambda: engine.instance not in self.status()["registered_gpu_ids"], "the worker has gone")


if __name__ == "__main__":
    unittest.main()
