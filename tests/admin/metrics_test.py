"""/metrics: the format by promtool and by the published parser, the figures after known traffic, and the bounds on what it says."""

import json
import shutil
import subprocess
import unittest

from admin import AdminCase, Server, Client, eventually
from kvclient import Engine, dense, tokens, unique
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

OBJECT = 2 * 2 * 256 * 2 * 64 * 2
# The reference's own two, with a unit that promtool does not like: in OpenMetrics only.
REFERENCE_UNITS = ("lmcache_mp_l0_l1_store_throughput_GB_per_second", "lmcache_mp_l0_l1_load_throughput_GB_per_second")
# What a Prometheus server sends.
PROMETHEUS = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
              "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")


class Page:
    """As a Prometheus server reads it."""

    def __init__(self, client):
        self.text = client.get("/metrics", Accept=PROMETHEUS).text
        self.families = {f.name: f for f in openmetrics.text_string_to_metric_families(self.text)}
        self.samples = {}
        for family in self.families.values():
            for sample in family.samples:
                key = (sample.name.removeprefix("lmcache_mp_"), tuple(sorted(sample.labels.items())))
                assert key not in self.samples, f"twice: {key}"
                self.samples[key] = sample.value

    def value(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))))


class Metrics(AdminCase):
    def page(self):
        return Page(self.http())

    def published(self):
        """A page with what housekeeping saw after this call; its rounds are counted before it publishes."""
        rounds = self.page().value("l1_eviction_loop_ticks_total")
        return eventually(lambda: (p := self.page()).value("l1_eviction_loop_ticks_total") > rounds + 1 and p, "a round")

    def traffic(self, **options):
        """Four chunks stored, looked up, three of five found, retrieved; then a failure."""
        engine = Engine(self.connect(), [dense()], 4096, **options).register()
        toks = tokens(768)
        self.assertTrue(engine.store(toks, unique("store")))
        rid = unique("lookup")
        self.assertEqual(engine.lookup(toks + tokens(512), rid), 3)
        self.assertTrue(engine.retrieve(toks, rid))
        engine.end(rid)
        self.assertFalse(engine.retrieve(toks, unique("never looked up")))
        return engine

    def test_promtool(self):
        if shutil.which("promtool") is None:
            self.skipTest("promtool is not installed: tests/run_all.sh promtool")
        self.traffic().unregister()
        text = self.http().get("/metrics").text
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_both_formats_have_the_same_but_for_two_names(self):
        self.traffic().unregister()
        text = self.http().get("/metrics").text
        plain = {f.name for f in text_string_to_metric_families(text)}
        self.assertEqual(set(self.page().families) - plain, set(REFERENCE_UNITS))
        self.assertEqual(plain - set(self.page().families), set())

    def test_content_type_and_redirect(self):
        client = self.http()
        self.assertEqual(client.get("/metrics").headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(client.get("/metrics", Accept=PROMETHEUS).headers["content-type"],
                         "application/openmetrics-text; version=1.0.0; charset=utf-8")
        redirect = client.get("/metrics/")
        self.assertEqual((redirect.status, redirect.headers["location"]), (307, "/metrics"))

    def test_figures_after_known_traffic(self):
        self.http().post("/cache/clear", {"force": True})
        before = self.published()
        self.assertEqual((before.value("l1_objects"), before.value("workers")), (0, 0))
        engine = self.traffic(salt="tenantB")
        of_model = {"model_name": engine.model, "cache_salt": "tenantB"}

        page = self.published()

        def grown(name, **labels):
            return page.value(name, **labels) - (before.value(name, **labels) or 0)

        self.assertEqual(page.value("lookups_requests_total", **of_model), 1)
        self.assertEqual(page.value("lookup_requested_tokens_total", **of_model), 1280)
        self.assertEqual(page.value("lookup_hit_tokens_total", **of_model), 768)
        self.assertEqual(page.value("lookup_hit_l1_tokens_total", **of_model), 768)
        self.assertEqual(page.value("lookup_hit_l1_keys_total", **of_model), 3)
        self.assertEqual(page.value("num_chunks_loaded_total", worker_id=str(engine.instance), **of_model), 3)
        for name in ("l1_write_chunks_total", "l1_read_chunks_total"):
            self.assertEqual(grown(name, l1_tag="_default", cache_salt="tenantB"), 3)
        for name in ("num_submitted_stores_total", "num_finished_stores_total", "num_submitted_retrieves_total",
                     "num_finished_retrieves_total"):
            self.assertEqual(grown(name, device="cpu"), 1, name)
            self.assertEqual(page.value(name, device="cuda"), 0, name)
        for direction in ("store", "retrieve"):
            self.assertEqual(grown("copied_bytes_total", direction=direction), 3 * OBJECT)
        rate = {"device": "cpu", "engine_id": str(engine.instance), "model_name": engine.model}
        for name in ("l0_l1_store_throughput_GB_per_second", "l0_l1_load_throughput_GB_per_second"):
            self.assertEqual(page.value(name + "_count", **rate), 1)
            self.assertGreater(page.value(name + "_sum", **rate), 0)
        total = 1 << 28
        dram = {"backend": "dram", "l1_tag": "_default"}
        used = page.value("l1_memory_usage_bytes", **dram)
        self.assertEqual(used - before.value("l1_memory_usage_bytes", **dram), 3 * OBJECT)
        self.assertEqual(page.value("l1_usage_ratio", **dram), used / total)
        self.assertEqual(page.value("l1_memory_total_bytes", **dram), total)
        self.assertEqual(page.value("l1_staging_bytes", **dram), 0)
        for operation, count in (("register_kv_cache", 1), ("store", 1), ("retrieve", 2), ("lookup", 1), ("end_session", 1)):
            self.assertEqual(grown("requests_total", operation=operation), count, operation)
            for phase in ("queue", "work", "reply"):
                self.assertEqual(grown(f"request_{phase}_seconds_count", operation=operation), count, (operation, phase))
        self.assertEqual(grown("request_failures_total", operation="retrieve", cause="not_leased"), 1)
        self.assertEqual((page.value("l1_objects"), page.value("l1_chunks"), page.value("l1_pinned_chunks")), (3, 3, 0))
        self.assertEqual((page.value("leases"), page.value("l1_window_objects"), page.value("l1_page_locked_bytes")), (0, 0, 0))
        self.assertEqual(page.value("workers"), 1)
        self.assertEqual(page.value("connections"), 1)
        self.assertEqual(page.value("sessions"), 0)
        self.assertGreater(page.value("received_bytes_total"), 0)
        self.assertGreater(page.value("process_resident_memory_bytes"), 1 << 20)
        loops = [dict(labels)["loop"] for name, labels in page.samples if name == "loop_silence_seconds"]
        for loop in ("I/O thread", "request thread", "copy thread", "HTTP thread", "admin thread", "housekeeping", "L1 pool"):
            self.assertTrue([name for name in loops if name.startswith(loop)], loop)
        resident = eventually(lambda: self.page().value("l1_model_bytes", model_name=engine.model, state="resident"),
                              "bytes are counted by model")
        self.assertEqual(resident, 3 * OBJECT)
        engine.unregister()

    def test_objects_that_were_not_there_to_be_read_are_counted_by_model(self):
        engine = Engine(self.connect(), [dense(), dense(engine_group=1, window=512)], 1024).register()
        self.assertFalse(engine.retrieve(tokens(1024), unique("never looked up")))
        # All four chunks of the one group, two of the other's window.
        self.assertEqual(self.page().value("l1_read_failure_chunks_total", during="l1_retrieve", reason="not_found",
                                           model_name=engine.model), 6)
        engine.unregister()

    def test_every_documented_metric_is_there(self):
        self.traffic().unregister()
        families = self.page().families
        with open(__file__.replace("tests/admin/metrics_test.py", "docs/METRICS.md")) as file:
            rows = [line.split("|") for line in file if line.startswith("| `")]
        self.assertGreater(len(rows), 50)
        told = {name for name in families}
        for row in rows:
            name, kind = row[1].strip(" `"), row[2].strip()
            family = families[name.removesuffix("_total")] if kind == "counter" else families[name]
            self.assertEqual(family.type, kind, name)
            told.discard(family.name)
        self.assertEqual(told, set(), "not documented")

    def test_leases_freed_by_death_and_expired_are_told_apart(self):
        import zmq
        from kvclient import connect
        context = zmq.Context()
        client = connect(self.server.url, context)
        engine = Engine(client, [dense()], 1024).register()
        toks = tokens(512)
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertEqual(engine.lookup(toks, unique("held")), 2)
        self.assertEqual(self.published().value("leases"), 1)
        before = self.page().value("leases_freed_by_death_total")
        client.close()
        context.destroy(0)
        eventually(lambda: self.page().value("leases_freed_by_death_total") == before + 1, "the lease was given up")
        self.assertEqual(self.page().value("leases_expired_total"), 0)

    def test_series_are_bounded(self):
        engine = Engine(self.connect(), [dense()], 1024)
        for i in range(200):
            engine.model, engine.salt = f"model {i}\n\"", f"salt-{i}"
            engine.hit(tokens(256))
        page = self.page()
        rows = [labels for name, labels in page.samples if name == "lookups_requests_total"]
        self.assertLessEqual(len(rows), 64 + 16 + 1)
        salts = {dict(labels)["cache_salt"] for labels in rows}
        self.assertIn("other", salts)
        self.assertGreater(page.value("lookups_requests_total", model_name="other", cache_salt="other"), 100)


class Evictions(AdminCase):
    """Small and with limits: who had to go, and why."""
    flags = ("--eviction-policy", "IsolatedLRU", "--eviction-trigger-watermark", "0.75", "--eviction-ratio", "0.5")
    l1_gb = str(32 * OBJECT / (1 << 30))

    def value(self, name, **labels):
        return Page(self.http()).value(name, **labels)

    def evicted(self, reason):
        return self.value("l1_evicted_bytes_total", policy="IsolatedLRU", reason=reason) / OBJECT

    def test_by_reason_and_what_tenants_have(self):
        engine = Engine(self.connect(), [dense()], 8192, salt="team").register()
        self.assertTrue(engine.store(tokens(8 * 256), unique("store")))
        client = self.http()
        client.ask("PUT", "/quota/team", {"limit_gb": 4 * OBJECT / (1 << 30)})
        client.ask("PUT", "/quota/idle", {"limit_gb": 1})
        eventually(lambda: self.evicted("quota") == 4, "the limit took four")
        eventually(lambda: self.value("l1_tenant_usage_bytes", cache_salt="team") == 4 * OBJECT, "its use is told")
        self.assertEqual(self.value("l1_tenant_limit_bytes", cache_salt="team"), 4 * OBJECT)
        eventually(lambda: self.value("l1_tenant_usage_bytes", cache_salt="idle") == 0, "so is that of one without any")
        client.ask("DELETE", "/quota/idle")
        eventually(lambda: self.value("l1_tenant_limit_bytes", cache_salt="idle") is None, "it has no limit any more")
        client.ask("DELETE", "/quota/team")
        self.assertTrue(engine.store(tokens(32 * 256), unique("store")))
        eventually(lambda: self.evicted("allocation") == 4, "the store took four")
        eventually(lambda: self.evicted("watermark") == 20, "down to 12 of 32")
        self.assertEqual((self.evicted("allocation"), self.evicted("quota")), (4, 4))
        self.assertEqual(self.value("l1_evicted_chunks_total", l1_tag="_default", cache_salt="team"), 28)
        engine.unregister()


    def test_objects_without_room_are_counted_by_model(self):
        engine = Engine(self.connect(), [dense()], 16384, salt="crowd").register()
        self.assertFalse(engine.store(tokens(33 * 256), unique("store")))
        self.assertEqual(self.value("l1_allocation_failure_chunks_total", during="l1_store", model_name=engine.model), 33)
        engine.unregister()


class Windows(AdminCase):
    """Of windowed groups what is kept and what went before its prefix."""
    l1_gb = str(24 * OBJECT / (1 << 30))

    def test_kept_and_lost(self):
        full, windowed = dense(), dense(engine_group=1, window=256)
        engine = Engine(self.connect(), [full, windowed], 4096).register()
        toks = tokens(8 * 256)
        self.assertTrue(engine.store(toks, unique("store")))
        kept = eventually(lambda: Page(self.http()).value("l1_window_objects"), "windowed objects are counted")
        self.assertEqual(kept, 8)
        plain = Engine(self.connect(), [full], 4096).register()
        self.assertTrue(plain.store(tokens(14 * 256), unique("store")))
        page = eventually(lambda: (p := Page(self.http())).value("l1_window_objects_lost_total") and p, "some had to go")
        self.assertEqual(page.value("l1_window_objects"), 8 - page.value("l1_window_objects_lost_total"))
        self.assertEqual(page.value("lookup_window_lost_chunks_total"), 0)
        lost = 7 - engine.hit(toks[:7 * 256])
        self.assertGreater(lost, 0)
        eventually(lambda: Page(self.http()).value("lookup_window_lost_chunks_total") == lost, "the lookup was cut short")
        for one in (engine, plain):
            one.unregister()


class Lives(AdminCase):
    """How long chunks stay and when they come back, with all of them in the sample."""
    flags = ("--eviction-policy", "LRU", "--metrics-sample-rate", "1")
    l1_gb = str(8 * OBJECT / (1 << 30))

    def grown(self, before, name, **labels):
        labels = labels or {"l1_tag": "_default"}
        return Page(self.http()).value(name, **labels) - (before.value(name, **labels) or 0)

    def test_what_becomes_of_chunks(self):
        self.http().post("/cache/clear")
        before, of_salt = Page(self.http()), {"cache_salt": "tenantL"}
        engine = Engine(self.connect(), [dense()], 4096, salt="tenantL").register()
        toks = tokens(4 * 256)
        self.assertTrue(engine.store(toks, unique("store")))
        for chunks in (4, 3):
            request = unique("lookup")
            self.assertEqual(engine.lookup(toks[:chunks * 256], request), chunks)
            self.assertTrue(engine.retrieve(toks[:chunks * 256], request))
            engine.end(request)
        for name in ("l1_chunk_reuse_gap_seconds_count", "l1_chunk_lifetime_seconds_count"):
            self.assertEqual(self.grown(before, name), 7 if "reuse" in name else 0, name)
        for name in ("real_reuse_gap_seconds_count", "real_reuse_gap_objects_count"):
            self.assertEqual(self.grown(before, name, **of_salt), 7, name)
        # Each is retrieved four chunks later.
        self.assertEqual(self.grown(before, "real_reuse_gap_objects_sum", **of_salt), 28)
        self.assertTrue(engine.store(tokens(8 * 256), unique("store")))
        for name in ("l1_chunk_lifetime_seconds_count", "l1_chunk_idle_before_evict_seconds_count"):
            self.assertEqual(self.grown(before, name), 4, name)
        self.assertEqual(self.grown(before, "l1_chunk_evict_reuse_gap_seconds_count"), 0)
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertEqual(self.grown(before, "l1_chunk_evict_reuse_gap_seconds_count"), 4)
        self.http().post("/cache/clear")
        self.assertEqual(self.grown(before, "l1_chunk_lifetime_seconds_count"), 16)
        engine.unregister()

    def test_bounds_are_the_references(self):
        engine = Engine(self.connect(), [dense()], 1024).register()
        self.assertTrue(engine.store(tokens(256), unique("store")))
        engine.unregister()
        with open(__file__.replace("tests/admin/metrics_test.py", "tests/data/reference_metrics.json")) as file:
            theirs = json.load(file)["metrics"]
        families = Page(self.http()).families
        for name in theirs:
            if name.startswith(("lmcache_mp_l1_chunk_", "lmcache_mp_real_reuse_gap_")):
                bounds = {float(sample.labels["le"]) for sample in families[name].samples if "le" in sample.labels}
                self.assertEqual(sorted(bounds)[:-1], theirs[name]["bounds"], name)


class NoSample(AdminCase):
    """One chunk of a million million: what the usual share leaves out costs nothing and is not there."""
    flags = ("--metrics-sample-rate", "1e-12")

    def test_nothing_is_measured(self):
        engine = Engine(self.connect(), [dense()], 4096).register()
        toks = tokens(1024)
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertTrue(engine.store(toks[:512] + tokens(512), unique("store")))
        self.http().post("/cache/clear")
        self.assertEqual(Page(self.http()).value("l1_chunk_lifetime_seconds_count", l1_tag="_default"), 0)
        engine.unregister()


class Disabled(unittest.TestCase):
    def test_there_is_no_page(self):
        server = Server(["--l1-size-gb", "0.0625", "--disable-metrics"])
        self.addCleanup(server.discard)
        client = Client(server.http)
        self.addCleanup(client.close)
        self.assertEqual(client.get("/metrics").status, 404)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
