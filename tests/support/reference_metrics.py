"""Writes tests/data/reference_metrics.json: what the published server's /metrics really shows, by name: type, labels and bounds.

    python tests/support/reference_metrics.py      in the published client's environment, a minute or two

A published server is started, an engine makes it store, hit, retrieve, evict, store anew what was evicted and run out of room,
and its page is read. What no client can make happen is told to the published package's subscriber, behind its own exporter.
"""

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
OUT = os.path.join(ROOT, "tests", "data", "reference_metrics.json")
os.environ.setdefault("LMCACHE_BINARY", os.path.join(os.path.dirname(sys.executable), "lmcache"))
sys.path.insert(0, os.path.join(ROOT, "tests", "client"))

import zmq
from kvclient import Engine, connect, dense, tokens, unique
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

PATIENCE = 120


def page_of_a_server():
    port, http_port = free_port(), free_port()
    command = [os.environ["LMCACHE_BINARY"], "server", "--l1-size-gb", "0.02", "--eviction-policy", "LRU", "--port", str(port),
               "--http-port", str(http_port), "--eviction-trigger-watermark", "0.5", "--metrics-sample-rate", "1"]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            read = f"http://127.0.0.1:{http_port}"
            wait_for(f"{read}/healthcheck")
            context = zmq.Context()
            client = connect(f"tcp://localhost:{port}", context)
            for salt in ("", "tenant"):
                traffic(client, salt)
            client.close()
            context.destroy(0)
            time.sleep(2)  # events are counted behind a queue
            return wait_for(f"{read}/metrics")
        finally:
            server.terminate()
            server.wait(PATIENCE)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(url):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return urllib.request.urlopen(url, timeout=PATIENCE).read().decode()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def traffic(client, salt):
    engine = Engine(client, [dense()], 32768, salt=salt).register()
    known = tokens(1024)
    engine.store(known, unique("store"))
    time.sleep(1)  # it is answered before it is visible
    request = unique("lookup")
    engine.lookup(known, request)
    engine.retrieve(known, request)
    engine.end(request)
    for _ in range(12):  # evicted once a second
        engine.store(tokens(2048), unique("store"))
        time.sleep(0.4)
    engine.store(known, unique("store"))
    engine.store(tokens(32768), unique("store"))
    engine.unregister()


def page_of_failed_reads():
    from lmcache.v1.distributed.api import ObjectKey
    from lmcache.v1.mp_observability.event import Event, EventType
    from lmcache.v1.mp_observability.otel_init import init_otel_metrics
    from lmcache.v1.mp_observability.subscribers.metrics.l1_failures import L1FailureMetricsSubscriber

    init_otel_metrics(start_http_server=False)
    key = ObjectKey(chunk_hash=bytes(32), model_name="model", kv_rank=0)
    event = Event(event_type=EventType.L1_READ_FAILED,
                  metadata={"during": "l1_retrieve", "reason": "not_found", "keys": [key]})
    L1FailureMetricsSubscriber().get_subscriptions()[event.event_type](event)
    return generate_latest().decode()


def described(page):
    out = {}
    for family in text_string_to_metric_families(page):
        if family.name.startswith("python_"):
            continue
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = set().union(*(sample.labels for sample in family.samples))
        bounds = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
        out[name] = {"type": family.type, "labels": sorted(labels - {"le"})}
        if bounds:
            out[name]["bounds"] = sorted(float(bound) for bound in bounds - {"+Inf"})
    return out


def main():
    found = {**described(page_of_failed_reads()), **described(page_of_a_server())}
    with open(OUT, "w") as file:
        json.dump({"version": importlib.metadata.version("lmcache"), "metrics": found}, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
