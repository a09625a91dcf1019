"""The most that a policy which does not know the future can serve of the multi-turn trace.

    eviction_online_bound.py --binary build/release/src/app/lmcache [--seeds N] [--shares 16,8,4]
                             [--pause SECONDS:DOUBLINGS]

Needs numpy (the published client's Python has it). Prints, per pool size, means over the seeds: the
offline bound, this bound, and what LRU and LFU serve.

How. Demand that the pool is not exceeded on average, at prices, instead of at every moment: for any
price of a chunk and second, price(t) >= 0, and a pool of C chunks, no policy's expected hits exceed

    C * integral of price  +  sum over requests of  private chunks * max over x of gain(x)
    gain(x) = P(the conversation goes on within x) - expected price of keeping it until then or x

because between two requests of one conversation nothing else bears on it (Lagrangian relaxation). The
policy is given more than it could know: how pauses and lengths of conversations are distributed, the
end of the trace, which of the sources that send at one time a conversation belongs to (so that it
learns of its end when the source sends something else), and for system prompts when each is asked
for next. Prices are fitted to traces of other seeds, so that they know nothing of these.
"""

import argparse
import json
import subprocess
import sys
import tempfile

import numpy as np

CHUNK, BLOCK = 256, 512
CHUNK_GIB = 1 / 32  # dense layout
GOES_ON, MOST_TURNS = 7 / 8, 40  # src/sim/generate.cpp, chat
FITTED_SEEDS = range(21, 25)
FIT_STEPS = 60
AGES_PER_DOUBLING = 24


class Chat:
    """A trace as the relaxation needs it: private chunks, idle periods, gaps of system prompts."""

    def __init__(self, lines):
        requests = [json.loads(line) for line in lines]
        followers = {}
        for request in requests:
            blocks = request["hash_ids"]
            for block, following in zip(blocks, blocks[1:]):
                followers.setdefault(block, set()).add(following)
        # System prompts are numbered first, and several conversations go on behind the last of them.
        first_private = 1 + max(block for block, seen in followers.items() if len(seen) > 1)
        self.start, self.private, self.goes_on = [], [], []
        self.gaps = []  # of system prompts: chunks, from, to
        self.asked, chunks, turns, used = 0, set(), {}, {}
        for request in requests:
            now, blocks = request["timestamp"] / 1000, request["hash_ids"]
            count = min(request["input_length"] // CHUNK, len(blocks) * BLOCK // CHUNK)
            chunks.update((blocks[i * CHUNK // BLOCK], i % 2) for i in range(count))
            self.asked += count
            prompt = next(i for i, block in enumerate(blocks) if block >= first_private)
            name, common = blocks[prompt], prompt * BLOCK // CHUNK
            turns[name] = turns.get(name, 0) + 1
            self.start.append(now)
            self.private.append(count - common)
            self.goes_on.append(GOES_ON if turns[name] < MOST_TURNS else 0.0)
            if blocks[0] in used:
                self.gaps.append((common, used[blocks[0]], now))
            used[blocks[0]] = now
        self.chunks, self.end = len(chunks), self.start[-1]
        self.start, self.private, self.goes_on, self.gaps = map(
            np.array, (self.start, self.private, self.goes_on, self.gaps)
        )


class Relaxed:
    """Expected hits under given prices, which are constant between knots."""

    def __init__(self, chat, pause, doublings):
        self.chat = chat
        # Short pieces where an empty pool fills and where nothing comes any more.
        ends = np.array([0, 5, 10, 15, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 600])
        middle = np.linspace(700, chat.end - 900, 5)
        self.knots = np.concatenate([ends, middle, (chat.end - ends - 1)[::-1], [chat.end]])
        steps = 1 + np.arange(AGES_PER_DOUBLING) / AGES_PER_DOUBLING
        self.ages = np.concatenate(
            [[0], *(pause * 2**k * steps for k in range(doublings)), [pause * 2**doublings]]
        )
        self.at = np.minimum(chat.start[:, None] + self.ages, chat.end)
        # A pause is as likely in each doubling, and uniform within it.
        low = pause * 2.0 ** np.arange(doublings)
        age = (self.at - chat.start[:, None])[..., None]
        self.over = np.clip((age - low) / low, 0, 1).mean(-1)

    def solve(self, prices, pool):
        """The bound, and how many chunks are kept in each piece on average."""
        chat = self.chat
        paid = np.concatenate([[0], np.cumsum(prices * np.diff(self.knots))])
        until = lambda time: np.interp(time, self.knots, paid)
        chunks, begin, end = chat.gaps.T
        gain = 1 - (until(end) - until(begin))
        kept = gain > 0
        hits = (chunks * gain)[kept].sum()
        inside = np.minimum(end[kept, None], self.knots[1:]) - np.maximum(begin[kept, None], self.knots[:-1])
        use = (np.maximum(inside, 0) * chunks[kept, None]).sum(0)

        waits = 1 - (self.over[:, 1:] + self.over[:, :-1]) / 2
        gain = chat.goes_on[:, None] * self.over
        gain[:, 1:] -= np.cumsum(np.diff(until(self.at), axis=1) * waits, axis=1)
        stop = gain.argmax(1)
        hits += (chat.private * gain[np.arange(len(stop)), stop]).sum()
        held = np.diff(self.at, axis=1) * waits * chat.private[:, None]
        held[np.arange(len(self.ages) - 1) >= stop[:, None]] = 0
        piece = np.searchsorted(self.knots, (self.at[:, 1:] + self.at[:, :-1]) / 2, side="right") - 1
        piece = np.clip(piece, 0, len(prices) - 1)
        use += np.bincount(piece.ravel(), held.ravel(), minlength=len(prices))
        return hits + pool * paid[-1], use / np.diff(self.knots)


def fit(relaxed, share):
    """Prices at which about as much is kept as there is room for: those of the least bound."""
    prices = np.full(len(relaxed[0].knots) - 1, 0.004)
    best, kept = np.inf, prices
    for step in range(FIT_STEPS):
        bound, fill = 0, 0
        for one in relaxed:
            pool = one.chat.chunks // share
            hits, use = one.solve(prices, pool)
            bound += hits / one.chat.asked
            fill = fill + use / pool / len(relaxed)
        if bound < best:
            best, kept = bound, prices
        prices = np.maximum(prices * np.exp(0.5 / (1 + step / 8) * np.clip(fill - 1, -1, 1)), 1e-9)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--shares", default="16,8,4")
    parser.add_argument("--pause", default="1:9")
    options = parser.parse_args()
    pause, doublings = options.pause.split(":")

    def trace(seed):
        command = [options.binary, "bench", "trace", "--workload", "chat", "--requests", "5000", "--active", "200"]
        command += ["--seed", str(seed), "--pause-seconds", pause, "--pause-doublings", doublings]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def simulate(text, gib):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write(text)
            file.flush()
            command = [options.binary, "bench", "eviction", "--trace", file.name, "--policy", "LRU,LFU", "--json"]
            lines = subprocess.run(
                [*command, "--l1-size-gb", f"{gib:.3f}"], check=True, capture_output=True, text=True
            ).stdout.splitlines()
        return {row["policy"]: 100 * row["hit_tokens"] for row in map(json.loads, lines)}

    def relaxed(text):
        return Relaxed(Chat(text.splitlines()), float(pause), int(doublings))

    fitted = [relaxed(trace(seed)) for seed in FITTED_SEEDS]
    texts = [trace(seed) for seed in range(1, options.seeds + 1)]
    print("pool of the chunks stored | offline bound | online bound | LRU | LFU | online / offline, mean (most)")
    for share in map(int, options.shares.split(",")):
        prices = fit(fitted, share)
        rows = []
        for text in texts:
            one = relaxed(text)
            pool = one.chat.chunks // share
            served = simulate(text, pool * CHUNK_GIB)
            online = 100 * one.solve(prices, pool)[0] / one.chat.asked
            rows.append((served["bound"], online, served["LRU"], served["LFU"], online / served["bound"]))
        means = np.mean(rows, axis=0)
        figures = " | ".join(f"{value:.1f} %" for value in means[:4])
        print(f"1/{share} | {figures} | {means[4]:.3f} ({max(row[4] for row in rows):.3f})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
