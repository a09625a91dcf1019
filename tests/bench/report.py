"""Runs the benchmarks of a build folder and prints their tables; see run.sh."""
import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
CLIENT = os.path.join(CACHE, "lmcached", "client-0.5.6", "bin")
GIB = 1 << 30


def median(values):
    return statistics.median(values)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A server in the background, up when its output matches a pattern, stopped at the end."""

    def __init__(self, command, ready, patience=90, env=None):
        self.log = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env=env)
        deadline = time.monotonic() + patience
        while True:
            self.log.seek(0)
            found = re.search(ready, self.log.read())
            if found:
                self.match = found.group(1)
                return
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                self.stop()
                raise SystemExit(f"{command[0]} did not start:\n{self.log.read()[-2000:]}")
            time.sleep(0.05)

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()


class Bench:
    def __init__(self, options):
        self.options = options
        self.results = {}
        self.rows = []

    def tool(self, name):
        return os.path.join(self.options.build, "tests", "bench", name)

    def server_command(self, l1_gib, port=0):
        return [os.path.join(self.options.build, "src", "app", "lmcache"), "server", "--host",
                "127.0.0.1", "--port", str(port), "--http-port", "0", "--l1-size-gb", str(l1_gib),
                "--eviction-policy", "LRU"]

    def server(self, l1_gib):
        process = Process(self.server_command(l1_gib), r"is running on \S+:(\d+)")
        process.url = f"tcp://127.0.0.1:{process.match}"
        return process

    def echo(self):
        process = Process([self.tool("zmq_echo"), "tcp://127.0.0.1:*"], r"(tcp://\S+:\d+)")
        process.url = process.match
        return process

    def peer(self):
        """The published server."""
        port = free_port()
        env = dict(os.environ, LMCACHE_TRACK_USAGE="false", LMCACHE_DISABLE_BANNER="1")
        # Not the environment's own script, which names the folder that it was first made in.
        start = "import sys; from lmcache.cli.main import main; sys.exit(main())"
        process = Process([os.path.join(CLIENT, "python"), "-c", start, "server", "--host",
                           "127.0.0.1", "--port", str(port), "--http-port", str(free_port()),
                           "--l1-size-gb", "2", "--eviction-policy", "LRU",
                           "--separate-object-groups"],
                          r"cache server is running on (\S+)", env=env)
        process.url = f"tcp://127.0.0.1:{port}"
        return process

    def run(self, *command):
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=False,
                              stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise SystemExit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def keep(self, prefix, results):
        self.results.update({f"{prefix}.{name}": values for name, values in results.items()})

    def row(self, what, ours, floor, ratio, target, met, peer="", peer_ratio=""):
        verdict = "" if target == "none" else "yes" if met else "**no**"
        self.rows.append((what, ours, floor, ratio, target, verdict, peer, peer_ratio))

    def side_by_side(self, prefix, *command):
        """Ours against the floor; then, by itself so as not to disturb them, the published server
        against the floor. The second result is empty when that was not asked for."""
        with self.echo() as floor:
            with self.server(1) as ours:
                results = self.run(*command, f"ours={ours.url}", f"floor={floor.url}")
            self.keep(prefix, results)
            peer_results = {}
            if self.options.peer:
                with self.peer() as peer:
                    peer_results = self.run(*command, f"peer={peer.url}", f"floor={floor.url}")
                self.keep(f"{prefix}.with_peer", peer_results)
        return results, peer_results

    def against_floor(self, what, measured, metric, unit, digits, at_most=None, at_least=None):
        """A row of a metric of side_by_side(); ratios are of one round, their median counts."""
        ours, peer = measured

        def ratio_of(results, name):
            return median([a / b for a, b in zip(results[f"{name}.{metric}"],
                                                 results[f"floor.{metric}"])])

        def show(results, name):
            return f"{median(results[f'{name}.{metric}']):,.{digits}f} {unit}"

        ratio = ratio_of(ours, "ours")
        target, met = "none", True
        if at_most is not None:
            target, met = f"at most {at_most}", ratio <= at_most
        elif at_least is not None:
            target, met = f"at least {at_least}", ratio >= at_least
        self.row(what, show(ours, "ours"), show(ours, "floor"), f"{ratio:.2f}", target, met,
                 show(peer, "peer") if peer else "", f"{ratio_of(peer, 'peer'):.2f}" if peer else "")

    def rpc(self):
        rounds, trips = (5, 2000) if self.options.quick else (25, 5000)
        measured = self.side_by_side("rpc", self.tool("rpc_bench"), rounds, trips)
        self.against_floor("noop round trip, p50", measured, "noop_p50_us", "us", 1, at_most=1.0)
        self.against_floor("noop round trip, p99", measured, "noop_p99_us", "us", 1)
        self.against_floor("noop, 64 in flight from one libzmq DEALER", measured, "noop_per_s", "/s", 0,
                           at_least=1.5)
        self.against_floor("- the same from a bare ZMTP client", measured, "bare_noop_per_s", "/s", 0)

    def sequence(self):
        rounds = 10 if self.options.quick else 60
        measured = self.side_by_side("sequence", os.path.join(CLIENT, "python"),
                                     os.path.join(HERE, "sequence_bench.py"), rounds)
        self.against_floor("lookup, wait, free, end_session of a hit of 131,072 tokens", measured,
                           "sequence_ms", "ms", 2, at_most=1.4)
        for call in ("lookup", "wait", "free", "end"):
            self.against_floor(f"- of these: {call}", measured, f"{call}_ms", "ms", 2)

    def lookup(self):
        repetitions = 3 if self.options.quick else 9
        done = subprocess.run([self.tool("lookup_bench"), "--benchmark_format=json",
                               f"--benchmark_repetitions={repetitions}"], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        times = {}
        for entry in json.loads(done.stdout)["benchmarks"]:
            if entry["run_type"] == "iteration":
                name = entry["run_name"].split("/")[0]
                times.setdefault(name, []).append(entry["real_time"])
        self.keep("lookup_ms", times)
        value = median(times["lookup_new_tokens"])
        again, decode, hashing = (median(times[name]) for name in
                                  ("lookup_known_tokens", "decode_key", "hash_chunks"))
        self.row("server time of that lookup, 4 groups, 8 ranks", f"{value:.2f} ms", "", "",
                 "under 3 ms", value < 3)
        self.row("- the same with tokens hashed before, as by their store", f"{again:.2f} ms", "", "", "none", True)
        self.row("- of these: decoding; hashing", f"{decode:.2f}; {hashing:.2f} ms", "", "", "none", True)

    def transfer(self, layout, name):
        rounds = 7 if self.options.quick else 25
        pool = GIB if self.options.quick else 2 * GIB
        results = {}
        with self.server(pool / GIB) as ours:
            results = self.run(self.tool("transfer_bench"), ours.url, layout, rounds, pool)
        self.keep(f"transfer.{layout}", results)
        peer = {}
        if self.options.peer and layout == "dense":
            with self.peer() as published:
                peer = self.run(self.tool("transfer_bench"), published.url, layout, 7, GIB, "clear")
            self.keep(f"transfer.{layout}.peer", peer)

        def share(of, which):
            return median([a / b for a, b in zip(of[f"{which}_gbs"], of[f"{which}_memcpy_gbs"])])

        for which in ("store", "retrieve"):
            ratio = share(results, which)
            self.row(f"{which}, {name}, {results[which + '_mb'][0]:.0f} MB",
                     f"{median(results[which + '_gbs']):.1f} GB/s",
                     f"{median(results[which + '_memcpy_gbs']):.1f} GB/s", f"{ratio:.2f}",
                     "at least 0.6", ratio >= 0.6,
                     f"{median(peer[which + '_gbs']):.2f} GB/s" if peer else "",
                     f"{share(peer, which):.2f}" if peer else "")
        self.row(f"- store, {name}, into a pool never used", f"{median(results['cold_store_gbs']):.1f} GB/s",
                 "", "", "none", True,
                 f"{median(peer['cold_store_gbs']):.2f} GB/s" if peer else "")

    def startup(self):
        port = free_port()
        results = self.run(self.tool("startup_bench"), 3 if self.options.quick else 11, port,
                           *self.server_command(16, port), "--log-level", "error")
        self.keep("startup", results)
        ready, resident = median(results["ready_s"]), median(results["resident_mib"])
        self.row("exec to first noop, --l1-size-gb 16", f"{ready * 1e3:.0f} ms", "", "",
                 "at most 500 ms", ready <= 0.5)
        self.row("resident memory then", f"{resident:.1f} MiB", "", "", "under 64 MiB", resident < 64)

    def table(self):
        head = ["", "ours", "floor", "ratio", "target", "met"]
        if self.options.peer:
            head += ["published server", "its ratio"]
        print("| " + " | ".join(head) + " |")
        print("|" + "---|" * len(head))
        for row in self.rows:
            print("| " + " | ".join(row[:len(head)]) + " |")
        print(f"\nLoad average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end of the run.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--build", required=True)
    bench = Bench(parser.parse_args())
    bench.rpc()
    bench.lookup()
    bench.sequence()
    bench.transfer("dense", "dense bf16 (128 KiB/token)")
    bench.transfer("deepseek", "DeepSeek-V4-Flash")
    bench.startup()
    bench.table()
    if bench.options.json:
        with open(bench.options.json, "w") as out:
            json.dump(bench.results, out, indent=1)


main()
