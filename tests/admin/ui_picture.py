"""Takes docs/ui.png: the live page of a daemon that two engines keep busy. usage: ui_picture.py FILE [SECONDS of traffic]"""

import random
import sys
import time

import zmq
from admin import Server
from browser import Page
from kvclient import Engine, connect, deepseek_v4, dense, tokens, unique

PROMPT, WORDS = 2048, 16  # tokens of a prompt, and how many prompts there are to choose from


def serve(engine, prompts, rng):
    """One request: what is cached is retrieved, the rest stored."""
    toks, rid = rng.choice(prompts), unique("request")
    hit = engine.lookup(toks, rid) * engine.chunk
    if hit:
        engine.retrieve(toks, rid, 0, hit)
    if hit < len(toks):
        engine.store(toks, rid, hit)
    engine.end(rid)


def main(path, seconds):
    server, context = Server(["--l1-size-gb", "0.25"]), zmq.Context()
    client = connect(server.url, context)
    flash = Engine(client, deepseek_v4(), PROMPT, model="deepseek-ai/DeepSeek-V4-Flash").register()
    plain = Engine(client, [dense(layers=8, heads=4, size=128)], PROMPT, model="meta-llama/Llama-3.1-8B").register()
    prompts, rng = [tokens(PROMPT) for _ in range(WORDS)], random.Random(1)
    page = Page(server.http + "/ui")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        prompts[rng.randrange(WORDS)] = tokens(PROMPT) if rng.random() < 0.05 else prompts[0]
        serve(rng.choice((flash, plain)), prompts, rng)
        time.sleep(0.05)  # an engine computes too
    page.until("document.body.dataset.state === 'live'")
    page.picture(path, "light")
    page.close()
    flash.unregister()
    flash.close()
    plain.unregister()
    client.close()
    context.destroy(0)
    server.stop()
    server.discard()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 300)
