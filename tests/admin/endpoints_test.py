"""The endpoints beside /status, who may ask, and the document that describes them."""

import hashlib
import http.client
import os
import random
import re
import socket
import stat
import unittest

import schema
import torch
from admin import PATIENCE, TOKEN, AdminCase, Client, Frozen, Server, TokenCase, eventually
from kvclient import Engine, Group, deepseek_v4, dense, tokens, unique


class Endpoints(AdminCase):
    def test_who_it_is(self):
        client = self.http()
        self.assertEqual(client.get("/").json, {"status": "ok", "service": "LMCache HTTP API"})
        version, number, commit = (client.get(p).json for p in ("/version", "/lmc_version", "/commit_id"))
        self.assertRegex(number, r"^\d+\.\d+\.\d+$")
        self.assertTrue(version.startswith(number), version)
        self.assertTrue(commit == "unknown" or re.fullmatch(rf"{re.escape(number)}\+(\d+\.)?{re.escape(commit)}", version), version)

    def test_config(self):
        answer = self.http().get("/config")
        self.assertTrue(answer.text.startswith('{\n  "mp": {'))
        config = answer.json
        self.assertEqual(list(config)[:3], ["mp", "storage_manager", "observability"])
        self.assertEqual(config["mp"]["chunk_size"], 256)
        self.assertEqual(config["storage_manager"]["l1_manager_config"]["memory_config"]["size_in_bytes"], 1 << 28)
        self.assertEqual(config["storage_manager"]["eviction_config"]["eviction_policy"], "LFU")
        self.assertEqual(config["http"]["http_host"], "127.0.0.1")
        self.assertTrue(config["mp"].items() >= {"max_workers": 1, "max_gpu_workers": 1, "isolated_ipc": False, "gpu_staging_mb": 128,
                                                 "gpu_copy_blocks": 16}.items())
        memory = config["storage_manager"]["l1_manager_config"]["memory_config"]
        self.assertEqual((memory["use_lazy"], memory["init_size_in_bytes"], memory["use_hugepages"]), (True, 1 << 28, False))
        self.assertEqual(config["storage_manager"]["window_checkpoint_chunks"], 1)
        self.assertEqual((config["observability"]["metrics_enabled"], config["observability"]["log_file"]), (True, ""))
        self.assertTrue(config["http"]["http_tcp"])
        self.assertEqual(self.http().get("/config/adapters").json, {"adapters": []})

    def test_clear_takes_a_tier_and_force(self):
        client = self.http()
        cleared = {"status": "ok", "cleared": {"tier": "l1"}}
        for body in (None, {}, {"tier": "l1"}, {"tier": "l1", "force": True}, {"force": 1}, {"force": 0}, "null"):
            answer = client.post("/cache/clear", body)
            self.assertEqual((answer.status, answer.json), (200, cleared))
        answer = client.post("/cache/clear", {"tier": "l2"})
        self.assertEqual((answer.status, answer.json), (400, {"detail": "tier 'l2' not supported; only 'l1'"}))
        for body in ({"tier": "l3"}, {"force": 2}, [], "{"):
            self.assertEqual(client.post("/cache/clear", body).status, 422)

    def test_a_body_that_waits_for_100_continue(self):
        connection = self.raw()
        head = b"POST /cache/clear HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n"
        connection.sendall(head)
        self.assertEqual(connection.recv(4096), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"{}")
        self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 200 "))
        connection = self.raw()  # one that is too large anyway need not be sent
        connection.sendall(head.replace(b"Length: 2", b"Length: 2000000"))
        self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 413 "))

    def test_clear_spares_what_is_leased_unless_forced(self):
        engine = Engine(self.connect(), [dense()], 2048).register()
        leased, other = tokens(512), tokens(512)
        for toks in (leased, other):
            self.assertTrue(engine.store(toks, unique("store")))
        rid = unique("lookup")
        self.assertEqual(engine.lookup(leased, rid), 2)
        self.http().post("/cache/clear")
        self.assertEqual((engine.hit(leased), engine.hit(other)), (2, 0))
        self.http().post("/cache/clear", {"force": True})
        self.assertEqual(engine.hit(leased), 0)
        engine.end(rid)
        engine.unregister()

    def test_objects_are_listed_page_by_page(self):
        client = self.http()
        client.post("/cache/clear", {"force": True})
        one = Engine(self.connect(), [dense()], 2048, salt="tenant", world_size=2, worker_id=1).register()
        two = Engine(self.connect(), [dense(window=512), dense(engine_group=1)], 2048).register()
        self.assertTrue(one.store(tokens(1280), unique("store")))
        self.assertTrue(two.store(tokens(512), unique("store")))
        listed, token, pages = [], "", 0
        while token is not None:
            page = client.get(f"/cache/objects?tier=l1&page_size=2&page_token={token}").json
            self.assertEqual((page["adapter"], page["shared"]), ("l1", False))
            listed += page["entries"]
            token, pages = page["next_page_token"], pages + 1
        self.assertEqual((len(listed), pages), (9, 5))
        self.assertEqual(len({str(e["key"]) for e in listed}), 9)
        for entry in listed:
            key = entry["key"]
            self.assertRegex(key["chunk_hash_hex"], "^[0-9a-f]{64}$")
            ours = key["model_name"] == one.model
            self.assertEqual(key["kv_rank"], 0x02010201 if ours else 0x01000100)
            self.assertEqual(key["cache_salt"], "tenant" if ours else "")
            self.assertEqual(entry["size_bytes"], 2 * 2 * 256 * 2 * 64 * 2)
        model = client.get(f"/cache/objects?tier=l1&model_name={two.model}").json["entries"]
        self.assertEqual(sorted(e["key"]["object_group_id"] for e in model), [0, 0, 1, 1])
        for query, status in (("", 503), ("?tier=all", 400), ("?tier=l9", 422), ("?tier=l1&page_size=0", 422),
                              ("?tier=l1&page_size=5001", 422), ("?tier=l1&page_token=x", 400),
                              ("?adapter=fs", 404), ("?tier=l1&adapter=fs", 404), ("?tier=l9&adapter=fs", 422)):
            self.assertEqual(client.get("/cache/objects" + query).status, status, query)
        for engine in (one, two):
            engine.unregister()

    def test_prefetches_say_that_there_is_nothing_behind_l1(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        client = self.http()
        ask = {"model_name": engine.model, "world_size": 1, "token_ids": tokens(512)}
        answer = client.post("/cache/prefetches", {**ask, "token_ids": [1, 2]})
        self.assertEqual((answer.status, answer.json), (202, {"chunks": 0, "status": "noop"}))
        self.assertIn("no layout registered", client.post("/cache/prefetches", {**ask, "model_name": "x"}).json["detail"])
        answer = client.post("/cache/prefetches", ask)
        self.assertEqual(answer.status, 503)
        self.assertIn("no L2", answer.json["detail"])
        self.assertEqual(client.post("/cache/prefetches", {**ask, "source_tier": "l1"}).status, 400)
        self.assertEqual(client.post("/cache/prefetches", {"model_name": "m"}).status, 422)
        self.assertEqual(client.post("/cache/prefetches", {**ask, "cache_salt": 5}).status, 422)
        answer = client.get("/cache/prefetches/x1")
        self.assertEqual(answer.status, 404)
        self.assertIn("unknown prefetch request_id='x1'", answer.json["detail"])
        engine.unregister()

    def test_log_level(self):
        client = self.http()
        self.assertEqual(client.get("/loglevel").text, "=== Loggers and Levels ===\nlmcache: INFO\n")
        self.assertEqual(client.get("/loglevel?logger_name=lmcache").text, "lmcache: INFO")
        self.assertEqual(client.get("/loglevel?logger_name=other").status, 404)
        refused = client.get("/loglevel?logger_name=lmcache&level=DEBUG")
        self.assertEqual((refused.status, refused.headers["allow"]), (405, "GET, HEAD, PUT"))
        self.assertEqual(client.get("/loglevel?logger_name=lmcache").text, "lmcache: INFO")
        loud = client.ask("PUT", "/loglevel?level=loud")
        self.assertEqual((loud.status, loud.text), (400, "Invalid log level: loud; allowed: DEBUG, INFO, WARNING, ERROR, WARN, CRITICAL"))
        for query in ("", "?logger_name=lmcache"):
            missing = client.ask("PUT", "/loglevel" + query)
            self.assertEqual((missing.status, missing.json["detail"][0]["loc"]), (422, ["query", "level"]))
        self.assertEqual(client.ask("PUT", "/loglevel?level=error").text, "lmcache: ERROR")
        before = self.server.log()
        Engine(self.connect(), [dense()], 1024).register().unregister()
        self.assertEqual(self.server.log(), before)
        self.assertEqual(client.ask("PUT", "/loglevel?logger_name=lmcache&level=INFO").text, "lmcache: INFO")
        Engine(self.connect(), [dense()], 1024).register().unregister()
        self.assertIn("worker registered", self.server.log()[len(before):])
        changes = re.findall(r"log level changed level=(\w+)", self.server.log())
        self.assertEqual(changes[-2:], ["ERROR", "INFO"])

    def test_the_page_says_what_a_browser_may_do_with_it(self):
        answer = self.http().get("/ui")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/html; charset=utf-8"))
        self.assertEqual((answer.headers["cache-control"], answer.headers["x-content-type-options"]), ("no-store", "nosniff"))
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
        self.assertEqual(self.http().get("/openapi.json").json["paths"]["/ui"]["get"]["security"], [])

    def test_what_there_is_not(self):
        client = self.http()
        for path in ("/nope", "/env", "/run_script", "/threads", "/nope/", "//", "/Status"):
            answer = client.get(path)
            self.assertEqual((answer.status, answer.json), (404, {"detail": "Not Found"}), path)
        for path, way in (("/status/", "/status"), ("/status//", "/status"), ("/quota/", "/quota"), ("/cache/objects/?tier=l1&model_name=a%2Fb",
                                                                            "/cache/objects?tier=l1&model_name=a%2Fb")):
            answer = client.get(path)
            self.assertEqual((answer.status, answer.headers["location"]), (307, way))
        for method, path in (("POST", "/healthcheck"), ("GET", "/cache/clear"), ("HEAD", "/cache/clear"), ("DELETE", "/quota")):
            self.assertEqual(client.ask(method, path).status, 405, path)

    def test_the_document_describes_what_is_there(self):
        client = self.http()
        document = client.get("/openapi.json").json
        self.assertTrue(document["openapi"].startswith("3."))
        asked = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                places = re.findall(r"{(\w+)}", path)
                described = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
                self.assertEqual(places, described, path)
                answer = client.ask(method.upper(), re.sub(r"{\w+}", "x", path))
                self.assertIn(str(answer.status), operation["responses"], f"{method} {path}: {answer.text}")
                asked += 1
        self.assertGreater(asked, 15)
        def declared(method, path):
            return document["paths"][path][method]

        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                needs_token = operation.get("security") != []
                self.assertEqual("401" in operation["responses"], needs_token, f"{method} {path}")
                self.assertEqual("403" in operation["responses"], method != "get", f"{method} {path}")
        for method, path in (("post", "/cache/prefetches"), ("get", "/cache/prefetches/{request_id}")):
            self.assertNotIn("200", declared(method, path)["responses"], path)
        checked = {(m, p) for p, operations in document["paths"].items() for m, o in operations.items() if "422" in o["responses"]}
        self.assertEqual(checked, {("post", "/cache/clear"), ("get", "/cache/objects"), ("delete", "/cache/objects"), ("post", "/cache/prefetches"),
                                   ("post", "/cache/checksums"), ("put", "/loglevel")})
        self.assertIn("404", declared("get", "/cache/objects")["responses"])
        for path, name in (("/cache/objects", "adapter"), ("/loglevel", "level")):
            self.assertIn(name, [parameter["name"] for parameter in declared("get", path)["parameters"]])
        for path in ("/", "/healthcheck", "/readyz", "/status", "/version", "/lmc_version", "/commit_id", "/config",
                     "/cache/clear", "/cache/objects", "/cache/prefetches", "/cache/checksums", "/quota",
                     "/quota/{cache_salt}", "/loglevel"):
            self.assertIn(path, document["paths"])

    def test_answers_are_as_the_document_describes_them(self):
        engine = Engine(self.connect(), [dense()], 1024, salt="described").register()
        self.addCleanup(engine.close)
        self.assertTrue(engine.store(tokens(512), unique("store")))
        client = self.http()
        paths = client.get("/openapi.json").json["paths"]
        blocks = {"instance_id": engine.instance, "block_ids": [1, 2], "chunk_size": 1}
        prefetch = {"model_name": engine.model, "world_size": 1, "token_ids": [1]}
        asked = set()

        def check(method, path, body=None, status=200, pattern=None):
            operation = paths[pattern or path.partition("?")[0]][method.lower()]
            answer = client.ask(method, path, body)
            self.assertEqual(answer.status, status, answer.text)
            content = operation["responses"][str(status)]["content"]
            media = answer.headers["content-type"].partition(";")[0]
            value = answer.json if media == "application/json" else answer.text
            self.assertEqual(schema.problems(value, content[media]["schema"]), [], f"{method} {path}")
            if isinstance(body, dict) and status < 300:
                self.assertEqual(schema.problems(body, operation["requestBody"]["content"]["application/json"]["schema"]), [])
            if status < 300:
                asked.add((method.lower(), pattern or path.partition("?")[0]))

        for path in ("/", "/version", "/lmc_version", "/commit_id", "/healthcheck", "/readyz", "/status", "/config", "/config/adapters",
                     "/cache/objects?tier=l1", "/cache/objects?tier=l1&page_size=1", "/loglevel", "/metrics", "/ui", "/openapi.json"):
            check("GET", path)
        check("POST", "/cache/checksums", blocks)
        check("POST", "/cache/checksums", {**blocks, "layerwise": True})
        check("POST", "/cache/checksums", {}, 404)
        check("POST", "/cache/checksums", {"block_ids": 1}, 422)
        check("POST", "/cache/prefetches", prefetch, 202)
        check("POST", "/cache/prefetches", {**prefetch, "token_ids": tokens(512)}, 503)
        check("GET", "/cache/prefetches/x", status=404, pattern="/cache/prefetches/{request_id}")
        quota = "/quota/{cache_salt}"
        check("PUT", "/quota/a", {"limit_gb": 1.5}, pattern=quota)
        check("PUT", "/quota/a", {"limit_gb": -1}, 400, pattern=quota)
        check("GET", "/quota/a", pattern=quota)
        check("GET", "/quota")
        check("DELETE", "/quota/a", pattern=quota)
        check("PUT", "/loglevel?level=info")
        check("PUT", "/loglevel?level=x", status=400)
        check("GET", "/loglevel?level=info", status=405)
        key = client.get("/cache/objects?tier=l1").json["entries"][0]["key"]
        check("DELETE", "/cache/objects", {"keys": [key], "tier": "l1"})
        check("DELETE", "/cache/objects", {"keys": [{**key, "chunk_hash_hex": "x"}], "tier": "l1"}, 400)
        check("DELETE", "/cache/objects", {"tier": "l1"}, 422)
        check("POST", "/cache/clear", {"tier": "l1", "force": True})
        check("POST", "/cache/clear", {"tier": "l9"}, 422)
        described = {(method, path) for path, operations in paths.items() for method, operation in operations.items()
                     if {"200", "202"} & operation["responses"].keys()}
        self.assertEqual(asked, described)
        engine.unregister()

    def test_the_document_says_what_must_be_given_and_what_is_refused(self):
        paths = self.http().get("/openapi.json").json["paths"]
        needed = {(method, path): operation["requestBody"]["required"] for path, operations in paths.items()
                  for method, operation in operations.items() if "requestBody" in operation}
        self.assertEqual(needed, {("post", "/cache/clear"): False, ("post", "/cache/prefetches"): True, ("post", "/cache/checksums"): True,
                                  ("delete", "/cache/objects"): True, ("put", "/quota/{cache_salt}"): True})
        level, = (p for p in paths["/loglevel"]["put"]["parameters"] if p["name"] == "level")
        self.assertTrue(level["required"])
        for name in level["schema"]["enum"]:
            self.assertEqual(self.http().ask("PUT", "/loglevel?level=" + name).status, 200, name)
        self.assertEqual(self.http().ask("PUT", "/loglevel?level=info").status, 200)
        for path, operations in paths.items():
            for method, operation in operations.items():
                self.assertLessEqual({"400", "413", "431"}, operation["responses"].keys(), f"{method} {path}")


def digest(tensors, axes, ids):
    """MD5 over the blocks of each tensor in turn, as the reference's endpoint computes it."""
    md5 = hashlib.md5()
    for tensor, axis in zip(tensors, axes):
        blocks = tensor.index_select(axis, torch.tensor(ids))
        if blocks.dtype == torch.bfloat16:
            blocks = blocks.to(torch.float32)
        md5.update(blocks.contiguous().view(torch.uint8).numpy().tobytes())
    return md5.hexdigest()


class Checksums(AdminCase):
    def check(self, groups, **options):
        engine = Engine(self.connect(), groups, 1024, **options).register()
        self.addCleanup(engine.close)
        engine.fill(3)
        tensors = [t for _, t in engine.views]
        axes = [groups[g].axis for g, _ in engine.views]
        count = min(t.shape[a] for t, a in zip(tensors, axes))
        ids = random.Random(1).sample(range(count), min(5, count))
        ask = {"instance_id": engine.instance, "block_ids": ids, "chunk_size": 2}
        chunks = [ids[i:i + 2] for i in range(0, len(ids), 2)]
        answer = self.http().post("/cache/checksums", ask)
        self.assertEqual(answer.status, 200, answer.text)
        told = answer.json
        self.assertEqual(told["chunk_checksums"], [digest(tensors, axes, c) for c in chunks])
        self.assertEqual((told["status"], told["num_chunks"], told["layerwise"]), ("success", len(chunks), False))
        layers = self.http().post("/cache/checksums", {**ask, "layerwise": True}).json["chunk_checksums"]
        self.assertEqual(layers, {
            f"layer_{i}": [digest([t], [a], c) for c in chunks] for i, (t, a) in enumerate(zip(tensors, axes))})
        engine.unregister()

    def test_of_every_kind_of_layout(self):
        layouts = {
            "K and V inside the block": [dense()],
            "K and V outside": [Group(0, 2, 16, (2, None, 16, 2, 64))],
            "K and V outside, float16": [Group(0, 2, 16, (2, None, 16, 2, 64), torch.float16)],
            "latent": [Group(0, 3, 64, (None, 64, 576), torch.bfloat16)],
            "latent of bytes": [Group(0, 2, 64, (None, 64, 656), torch.uint8)],
            "fused, tokens outside": [Group(0, 2, 16, (None, 16, 2, 128))],
            "two groups": [dense(), dense(layers=1, block=32, heads=4, engine_group=1, window=512)],
        }
        for name, groups in layouts.items():
            with self.subTest(name):
                self.check(groups)

    def test_of_heads_outside_tokens(self):
        self.check([Group(0, 2, 16, (None, 2, 2, 16, 64))], hints={"kv_layout": "HND"})
        self.check([Group(0, 2, 16, (None, 2, 16, 128))], hints={"kv_layout": "HND"})

    def test_of_views_of_one_pool(self):
        self.check(deepseek_v4())

    def test_what_cannot_be_read(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        client = self.http()
        ask = {"instance_id": engine.instance, "block_ids": [1, 2, 3, 5], "chunk_size": 2}
        self.assertEqual(client.post("/cache/checksums", ask).json["block_id_ranges"], [[1, 3], 5])
        for body in (None, "null"):
            empty = client.post("/cache/checksums", body)
            self.assertEqual((empty.status, empty.json["detail"][0]["loc"]), (422, ["body"]))
        for change, status in (({"instance_id": 1}, 404), ({"block_ids": []}, 400), ({"chunk_size": 0}, 400),
                               ({"block_ids": [1 << 40]}, 400), ({"block_ids": [-1]}, 400), ({"block_ids": "x"}, 422),
                               ({"block_ids": [0] * 65537}, 422), ({"chunk_size": -1}, 422)):
            self.assertEqual(client.post("/cache/checksums", {**ask, **change}).status, status, change)
        self.assertEqual(client.post("/cache/checksums", {**ask, "chunk_size": 1 << 60}).json["num_chunks"], 1)
        engine.unregister()

    def test_memory_that_has_been_taken_away(self):
        engine = Engine(self.connect(), deepseek_v4(), 1024).register()
        self.addCleanup(engine.close)
        os.truncate("/dev/shm/" + engine.segment.name.lstrip("/"), 4096)
        answer = self.http().post("/cache/checksums", {"instance_id": engine.instance, "block_ids": [9], "chunk_size": 1})
        self.assertEqual(answer.status, 503)
        self.assertEqual(self.http().get("/healthcheck").status, 200)
        os.truncate("/dev/shm/" + engine.segment.name.lstrip("/"), engine.segment.size)

    def test_memory_that_nobody_comes_to_read(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        self.addCleanup(engine.close)
        ask = {"instance_id": engine.instance, "block_ids": [9], "chunk_size": 1}
        with Frozen(self.server.process, "lmcache-copy"):
            answer = self.http().post("/cache/checksums", ask)
            self.assertEqual((answer.status, answer.json["detail"][:19]), (503, "not read within 5 s"))
            self.assertEqual(self.http().get("/healthcheck").status, 200)
        self.assertEqual(self.http().post("/cache/checksums", ask).status, 200)
        engine.unregister()


class Configured(AdminCase):
    flags = ("--max-workers", "3", "--max-cpu-workers", "2", "--no-l1-use-lazy", "--eviction-policy", "IsolatedLRU",
             "--tenant-quotas", "secret-salt:0:0.125", "--disable-metrics")

    def test_what_was_asked_for_is_told_but_no_salt(self):
        answer = self.http().get("/config")
        mp, storage = answer.json["mp"], answer.json["storage_manager"]
        self.assertEqual([mp[f"max_{of}workers"] for of in ("", "gpu_", "cpu_")], [3, 3, 2])
        self.assertFalse(storage["l1_manager_config"]["memory_config"]["use_lazy"])
        self.assertFalse(answer.json["observability"]["metrics_enabled"])
        self.assertEqual(storage["tenant_quotas"], 1)
        self.assertNotIn("secret-salt", answer.text)


class Token(TokenCase):
    def test_is_asked_for(self):
        for client in (self.http(), self.http("wrong" + TOKEN[5:])):
            for method, path in (("GET", "/status"), ("POST", "/cache/clear"), ("GET", "/nope"), ("GET", "/openapi.json")):
                answer = client.ask(method, path)
                self.assertEqual((answer.status, answer.headers["www-authenticate"]), (401, "Bearer"), path)
        self.assertEqual(self.http(TOKEN).get("/status").status, 200)
        self.assertEqual(self.http(TOKEN).get("/nope").status, 404)

    def test_is_not_needed_by_probes_and_the_page(self):
        for path in ("/healthcheck", "/readyz", "/", "/ui"):
            self.assertEqual(self.http().get(path).status, 200, path)

    def test_is_told_nobody(self):
        config = self.http(TOKEN).get("/config").text
        self.assertNotIn(TOKEN, config + self.server.log())

    def test_the_unix_socket_asks_too_and_goes_with_the_server(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.http_socket).st_mode), 0o660)
        for token, status in (("", 401), (TOKEN, 200)):
            connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.http_socket)
            connection.request("GET", "/status", headers={"Authorization": "Bearer " + token})
            self.assertEqual(connection.getresponse().status, status)
            connection.close()


class Readiness(unittest.TestCase):
    def test_ends_before_the_server_does(self):
        server = Server(["--l1-size-gb", "0.0625"])
        self.addCleanup(server.discard)
        client = Client(server.http)
        self.addCleanup(client.close)
        self.assertEqual(client.get("/readyz").json, {"status": "ready"})
        server.process.terminate()
        eventually(lambda: "stopping" in server.log() or server.process.poll() is not None, "it stops")
        try:
            answer = client.get("/readyz")
            self.assertEqual((answer.status, answer.json["reason"]), (503, "stopping"))
        except (ConnectionError, http.client.HTTPException):
            pass  # it was quick
        self.assertEqual(server.process.wait(PATIENCE), 0)


if __name__ == "__main__":
    unittest.main()
