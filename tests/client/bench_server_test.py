"""`lmcache bench server` against a daemon, and against made-up servers that do what a load generator must notice."""

import glob
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.request

import msgspec
import zmq
from server import BINARY, PATIENCE, Server, ServerCase, eventually, open_terminal

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
SMALL = ("--tokens", "256", "--requests", "2")
REGISTER, STORE, RETRIEVE, WAIT, CHUNK_SIZE, NOOP = 1, 6, 7, 10, 21, 24


def bench(*args, **options):
    return subprocess.run([BINARY, "bench", "server", *args], capture_output=True, text=True, timeout=PATIENCE, **options)


class FakeServer:
    """Answers every operation as a server does that has everything, and never copies a byte. `changes`: other results by operation;
    a callable gets the payload frames, None sends nothing."""

    def __init__(self, **changes):
        self.results = {CHUNK_SIZE: 256, NOOP: "OK", STORE: [b"", True], RETRIEVE: [b"", True], WAIT: 1}
        self.results.update({int(operation[2:]): result for operation, result in changes.items()})
        self.seen = []
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.url = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while not self.stop.is_set():
            if not self.socket.poll(20):
                continue
            peer, uid, operation, *payload = self.socket.recv_multipart()
            number = unpack(operation)
            self.seen.append(number)
            result = self.results.get(number, ())
            if result is not None:
                self.socket.send_multipart([peer, uid, operation] + ([] if result == () else [pack(result)]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.context.destroy(linger=0)


class BenchServer(ServerCase):
    l1_gb = "0.25"

    def setUp(self):
        self.addCleanup(lambda: self.assertEqual(glob.glob("/dev/shm/lmcache_load_*"), [], "shared memory is left behind"))

    def report(self, *args):
        done = bench(*args, "--format", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return json.loads(done.stdout)

    def fails(self, code, text, *args, **options):
        done = bench(*args, **options)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("lmcache bench: "), done.stderr)
        self.assertIn(text, done.stderr)
        return done

    def workers(self):
        with urllib.request.urlopen(self.server.http + "/metrics", timeout=PATIENCE) as answer:
            return int(re.search(r"^lmcache_mp_workers (\d+)$", answer.read().decode(), re.M).group(1))

    def test_every_operation_is_measured_and_every_block_compared(self):
        for layout, blocks in (("dense", 16), ("deepseek-v4-flash", 23)):
            report = self.report(self.server.url, "--layout", layout, "--concurrency", "2", "--tokens", "256", "--requests", "3")
            (server,) = report["servers"]
            self.assertEqual(server["bad_blocks"], 0)
            self.assertEqual(server["checked_blocks"], 2 * 4 * blocks, "with the round that is not timed")
            requests = {name: times["requests"] for name, times in server["operations"].items()}
            self.assertEqual(requests, {"noop": 2 * 3 * 64, "store": 6, "lookup": 2 * 3 * 8, "retrieve": 6})
            for times in server["operations"].values():
                self.assertGreater(times["requests_per_second"], 0)
                self.assertLessEqual(times["p50_seconds"], times["p90_seconds"])
                self.assertLessEqual(times["p99_seconds"], times["max_seconds"])
            self.assertGreater(server["operations"]["retrieve"]["gb_per_second"], 0)
            self.assertIsNone(server["operations"]["noop"]["gb_per_second"])
        eventually(lambda: self.workers() == 0, "all have unregistered")

    def test_two_servers_in_turn(self):
        report = self.report(self.server.url, self.server.url.replace("localhost", "127.0.0.1"), *SMALL)
        self.assertEqual([server["checked_blocks"] for server in report["servers"]], [48, 48])
        self.assertEqual(set(report["speed_ratio"]), {"noop", "store", "lookup", "retrieve"})
        self.assertGreater(min(report["speed_ratio"].values()), 0)

    def test_runs_share_a_model_and_nothing_else(self):
        # Of a size that two fit in side by side: LFU would take what one has just stored to make room for the other.
        server = Server(["--l1-size-gb", "1", "--eviction-policy", "LRU"])
        self.addCleanup(server.discard)
        running = [subprocess.Popen([BINARY, "bench", "server", server.url, "--tokens", "256", "--requests", "10"],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        for process in running:
            out, err = process.communicate(timeout=PATIENCE)
            self.assertEqual((process.returncode, err), (0, ""), out)
            self.assertRegex(out, r"(?m)^blocks compared 176, bad 0$")
        for _ in range(6):
            self.report(server.url, *SMALL)  # finds nothing of others: else its retrieves would bring other bytes back
        with urllib.request.urlopen(server.http + "/metrics", timeout=PATIENCE) as answer:
            page = answer.read().decode()
        models = set(re.findall(r'lmcache_mp_lookups_requests_total{.*?model_name="(.*?)"', page))
        self.assertEqual(models, {"lmcache-bench-dense"})
        workers = set(re.findall(r'lmcache_mp_num_chunks_loaded_total{.*?worker_id="(.*?)"', page))
        self.assertLessEqual(len(workers), 4, "whoever comes later takes a name again")
        self.assertEqual(server.stop(), 0, server.log())

    def test_the_table(self):
        done = bench(self.server.url, *SMALL)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^retrieve +2 ")
        self.assertRegex(done.stdout, r"(?m)^blocks compared 48, bad 0$")

    def test_a_terminal_sees_progress_and_a_pipe_does_not(self):
        controller, terminal = open_terminal(self)
        process = subprocess.Popen([BINARY, "bench", "server", self.server.url, *SMALL], stdout=subprocess.DEVNULL, stderr=terminal)
        os.close(terminal)
        shown = b""
        try:
            while data := os.read(controller, 65536):
                shown += data
        except OSError:
            pass  # the last one that had the terminal open has closed it
        self.assertEqual(process.wait(PATIENCE), 0)
        self.assertIn(b"] round 2 of 2", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)

    def test_seconds_end_it(self):
        rounds = self.report(self.server.url, "--tokens", "256", "--requests", "1000000", "--seconds", "0.2")["rounds"]
        self.assertLess(rounds, 1000000)
        self.assertGreater(rounds, 0)

    def test_ctrl_c_tidies_up(self):
        eventually(lambda: self.workers() == 0, "the figures, a second old at most, have forgotten the test before")
        process = subprocess.Popen([BINARY, "bench", "server", self.server.url, "--tokens", "256", "--requests", "1000000"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        eventually(lambda: self.workers() == 1, "it has registered")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 1)
        self.assertRegex(err, r"^lmcache bench: interrupted after \d+ of 1000000 rounds\n$")
        self.assertIn("blocks compared", out)
        eventually(lambda: self.workers() == 0, "it has unregistered")

    def test_ctrl_c_while_a_server_is_silent(self):
        with FakeServer(op24=None) as fake:
            process = subprocess.Popen([BINARY, "bench", "server", fake.url, *SMALL], stderr=subprocess.PIPE, text=True,
                                       stdout=subprocess.DEVNULL)
            eventually(lambda: NOOP in fake.seen, "it waits for an answer")
            process.send_signal(signal.SIGINT)
            self.assertIn("interrupted after 0 of 2 rounds", process.communicate(timeout=PATIENCE)[1])
            self.assertEqual(process.returncode, 1)

    def test_bytes_that_are_not_the_stored_ones_are_counted(self):
        with FakeServer() as fake:
            done = self.fails(1, "48 blocks came back with other bytes than were stored", fake.url, *SMALL)
        self.assertIn("blocks compared 48, bad 48", done.stdout)

    def test_what_a_server_refuses_is_said(self):
        for change, text in (({"op6": [b"", False]}, "a store was answered false"),
                             ({"op7": [b"", False]}, "a retrieve was answered false"),
                             ({"op6": "x"}, "a transfer was answered with something else"),
                             ({"op21": "x"}, "get_chunk_size was answered with something else"),
                             ({"op21": 512}, "--tokens 256 is not a multiple of the server's chunk size, 512"),
                             ({"op21": 24}, "does not go with the server's chunks of 24 tokens")):
            with self.subTest(text), FakeServer(**change) as fake:
                tokens = "264" if change.get("op21") == 24 else "256"
                self.fails(1, text, fake.url, "--tokens", tokens, "--requests", "1")

    def test_a_silent_server_is_given_up(self):
        with FakeServer(op1=None) as fake:
            self.fails(1, "no answer to register_kv_cache in time", fake.url, *SMALL, "--timeout-seconds", "0.3")

    def test_servers_of_different_chunks(self):
        with FakeServer(op21=32) as fake:
            self.fails(1, "the servers' chunk sizes differ: 256 and 32", self.server.url, fake.url, *SMALL)

    def test_a_server_that_is_not_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.fails(1, "cannot connect: Connection refused", f"tcp://127.0.0.1:{free.getsockname()[1]}")
        self.fails(1, "cannot connect", "ipc:///nonexistent/socket")

    def test_a_server_too_small(self):
        self.fails(1, "a store was answered false", self.server.url, "--tokens", "4096", "--requests", "1")

    def test_mistakes(self):
        for text, *args in (("allowed: tcp://HOST:PORT or ipc://PATH", "localhost"),
                            ("'tcp://localhost:71091' is not allowed", "tcp://localhost:71091"), ("--device: tpu", "--device", "tpu"),
                            ("no model is called 'gpt'", "--layout", "gpt"), ("--concurrency", "--concurrency", "0"),
                            ("--format", "--format", "xml"), ("c", "tcp://a:1", "tcp://b:2", "tcp://c:3")):
            self.assertEqual(self.fails(2, text, *args).stdout, "")


    def test_a_gpu_that_is_not_there(self):
        with open(BINARY, "rb") as program:
            built = b"cudaErrorInsufficientDriver" in program.read()
        code, text = (1, "no GPU can be used: ") if built else (2, "--device cuda: this program was built without CUDA")
        with FakeServer() as fake:
            done = self.fails(code, text, fake.url, "--device", "cuda", env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
            self.assertEqual((done.stdout, fake.seen), ("", []))


class OnAUnixSocket(ServerCase):
    def test_it_is_reached(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "requests.sock")
        server = subprocess.Popen([BINARY, "server", "--no-tcp", "--request-socket", path, "--no-http", "--l1-size-gb", "0.25"],
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait, PATIENCE)
        self.addCleanup(server.terminate)
        eventually(lambda: os.path.exists(path), "it listens")
        done = bench("ipc://" + path, *SMALL)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
