"""Every field of /status against the truth after known traffic."""

import unittest

import zmq
from admin import AdminCase, eventually
from kvclient import Engine, connect, deepseek_v4, dense, tokens, unique

OBJECT = 2 * 2 * 256 * 2 * 64 * 2  # bytes of a chunk of dense(): layers, K and V, tokens, heads, size, bfloat16


class Status(AdminCase):
    flags = ("--eviction-trigger-watermark", "0.7", "--eviction-ratio", "0.1", "--l1-write-ttl-seconds", "77",
             "--worker-reap-timeout-seconds", "33")

    def status(self):
        answer = self.http().get("/status")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"))
        return answer.json

    def setUp(self):
        self.assertEqual(self.http().post("/cache/clear", {"force": True}).status, 200)

    def test_of_an_idle_server(self):
        eventually(lambda: self.status()["active_sessions"] == 0, "no session is left")
        eventually(lambda: self.status()["registered_gpu_ids"] == [], "no worker is left")
        status = self.status()
        storage = status.pop("storage_manager")
        connections = status.pop("connections")
        # Where there is no GPU nothing is pinned and none is in use.
        self.assertEqual(status.pop("gpus"), [])
        self.assertEqual(status.pop("l1_pinning"), {"total_bytes": 1 << 28, "touched_bytes": 0, "pinned_bytes": 0, "failed_parts": 0,
                                                    "seconds_left": 0, "error": ""})
        self.assertEqual(status, {
            "is_healthy": True, "engine_type": "MPCacheServer", "chunk_size": 256, "hash_algorithm": "blake3",
            "active_sessions": 0, "active_prefetch_jobs": 0, "active_p2p_lookup_jobs": 0, "p2p_enabled": False,
            "p2p_state": "unregistered", "p2p_peer_count": 0, "p2p_peers": [],
            "worker_liveness": {"enabled": True, "reap_timeout_seconds": 33, "registration_grace_seconds": 3600,
                                "tracked_instances": 0},
            "kv_events": {"enabled": False, "incarnation": 0, "log_depth": 0, "log_capacity": 0, "next_seq": 0,
                          "lost_markers": 0, "unbound_stores": 0, "subscribers": 0},
            "registered_gpu_ids": [], "cache_context_meta": {}})
        self.assertEqual((connections["open"], connections["refused"], connections["unsent_bytes"]), (0, 0, 0))
        total = 1 << 28
        l1 = {"is_healthy": True, "total_object_count": 0, "write_locked_count": 0, "read_locked_count": 0,
              "temporary_count": 0, "staging_object_count": 0, "staging_bytes": 0, "memory_used_bytes": 0,
              "memory_total_bytes": total, "memory_configured_bytes": total, "capacity_bytes_by_backend": {"dram": total},
              "memory_usage_ratio": 0, "write_ttl_seconds": 77, "read_ttl_seconds": 300}
        eviction = {"is_healthy": True, "thread_alive": True, "eviction_policy": "LFU", "trigger_watermark": 0.7,
                    "eviction_ratio": 0.1}
        self.assertEqual(storage["l1_managers"], {"_default": l1})
        self.assertEqual(storage["l1_manager"], l1)
        self.assertEqual(storage["l1_eviction_controllers"], {"_default": eviction})
        self.assertEqual(storage["l1_eviction_controller"], eviction)
        self.assertEqual(storage["l1_usage"], [0, total])
        self.assertEqual(storage["l1_capacity_bytes_by_backend"], {"dram": total})
        self.assertEqual((storage["l2_adapters"], storage["num_l2_adapters"]), ([], 0))

    def l1(self):
        return self.status()["storage_manager"]["l1_manager"]

    def test_objects_bytes_and_locks(self):
        client = self.connect()
        engine = Engine(client, [dense()], 2048).register()
        toks = tokens(1024)
        self.assertTrue(engine.store(toks, unique("store")))
        l1 = self.l1()
        self.assertEqual((l1["total_object_count"], l1["memory_used_bytes"], l1["read_locked_count"]), (4, 4 * OBJECT, 0))
        self.assertEqual(l1["memory_usage_ratio"], 4 * OBJECT / l1["memory_total_bytes"])
        rid = unique("lookup")
        self.assertEqual(engine.lookup(toks[:768], rid), 3)
        self.assertEqual(self.l1()["read_locked_count"], 3)
        self.assertEqual(self.status()["active_sessions"], 1)
        engine.end(rid)
        self.assertEqual(self.l1()["read_locked_count"], 0)
        self.assertEqual(self.status()["active_sessions"], 0)
        engine.unregister()

    def test_workers_and_their_layouts(self):
        client = self.connect()
        flash = Engine(client, deepseek_v4(), 1024).register()
        self.addCleanup(flash.close)
        plain = Engine(client, [dense(layers=3, block=32, heads=4, size=128)], 1024, world_size=2, worker_id=1).register()
        status = self.status()
        self.assertEqual(status["registered_gpu_ids"], sorted([flash.instance, plain.instance]))
        self.assertEqual(status["worker_liveness"]["tracked_instances"], 2)
        self.assertEqual(status["connections"]["open"], 1)
        meta = status["cache_context_meta"]
        self.assertEqual(set(meta), {str(flash.instance), str(plain.instance)})
        self.assertEqual(meta[str(plain.instance)], {
            "model_name": plain.model, "world_size": 2, "kv_cache_layout": {
                "num_layers": 3, "num_blocks": 1024 // 32 + 2, "cache_size_per_token": 3 * 2 * 4 * 128 * 2,
                "kernel_groups": [{
                    "kernel_group_idx": 0, "engine_group_idx": 0, "object_group_idx": 0, "num_layers": 3,
                    "layer_indices": [0, 1, 2], "tokens_per_block": 32, "slots_per_block": 32, "dtype": "torch.bfloat16",
                    "engine_kv_concrete_shape": "3 x [34, 2, 32, 4, 128]", "is_mla": False,
                    "engine_kv_format": "NL_X_NB_TWO_BS_NH_HS", "engine_kv_shape": "NL x [NB, 2, BS, NH, HS]",
                    "attention_backend": "vLLM non-MLA flash infer", "window_tokens": -1, "row_bytes": 4 * 128 * 2}]}})
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
