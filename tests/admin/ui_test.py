"""The live page in a real browser, while the published client makes traffic."""

import json
import sys
import unittest

from admin import TOKEN, AdminCase, Server, TokenCase
from browser import CHROMIUM, Page
from kvclient import Engine, deepseek_v4, dense, tokens, unique

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"
PLOTS = ["pool-state", "pool-model", "hit-rate", "transfers", "latency", "evictions"]
LIVE = "document.body.dataset.state === 'live'"


def setUpModule():
    if CHROMIUM is None:
        print("SKIPPED: chromium is not installed, so nothing of the page is tested", file=sys.stderr)
        raise unittest.SkipTest("chromium is not installed")


class UiCase(AdminCase):
    def open(self):
        page = Page(self.server.http + "/ui")
        self.addCleanup(page.close)
        return page

    def assert_content(self, page):
        """It had no trouble, and asked nobody but its server."""
        self.assertEqual(page.console, [])
        self.assertEqual(page.value("window.violations"), [])
        self.assertEqual({url for url in page.requested if not url.startswith(self.server.http + "/")}, {"data:,"} & set(page.requested))


class Figures(UiCase):
    def test_are_those_of_the_server(self):
        page = self.open()
        page.until(LIVE)
        flash = Engine(self.connect(), deepseek_v4(), 2048).register()
        self.addCleanup(flash.close)
        engine = Engine(self.connect(), [dense(window=512), dense(engine_group=1)], 2048, model=HOSTILE).register()
        toks = tokens(1024)
        self.assertTrue(engine.store(toks, unique("store")))
        self.assertTrue(flash.store(toks, unique("store")))
        rid = unique("lookup")
        self.assertEqual(engine.lookup(toks, rid), 4)
        self.assertTrue(engine.retrieve(toks, rid))
        engine.end(rid)
        self.assertEqual(engine.hit(tokens(1024)), 0)

        status = self.http().get("/status").json
        l1 = status["storage_manager"]["l1_manager"]
        self.assertGreater(l1["memory_used_bytes"], 0)
        used = f"document.getElementById('l1-used').dataset.value == {l1['memory_used_bytes']}"
        page.until(used)
        page.until("document.getElementById('hit-rate').dataset.value == 0.5")  # one lookup of two was a hit
        self.assertEqual(page.figure("l1-total"), l1["memory_total_bytes"])
        self.assertEqual(page.figure("engines-count"), 2)
        self.assertEqual(page.figure("connections"), status["connections"]["open"])
        for name in ("stored", "retrieved", "requests"):
            self.assertGreater(page.figure(name), 0, name)

        self.check_plots(page, l1)
        self.check_tables(page, status, engine, flash)
        self.assert_content(page)
        engine.unregister()
        flash.unregister()
        page.until("document.querySelectorAll('#engines tbody').length === 0")

    def legend(self, page, plot):
        return page.value(f"""Object.fromEntries([...document.querySelectorAll('[data-plot={plot}] li')]
                              .map((item) => [item.dataset.label, Number(item.querySelector('b').dataset.value)]))""")

    def check_plots(self, page, l1):
        self.assertEqual(page.value("[...document.querySelectorAll('[data-plot]')].map((f) => f.dataset.plot)"), PLOTS)
        # Housekeeping counts models' bytes now and then, and a line needs two points.
        page.until(f"""[...document.querySelectorAll('[data-plot=pool-model] li')].some(
                          (item) => item.dataset.label === {json.dumps(HOSTILE)} && item.querySelector('b').dataset.value > 0)""")
        for plot in PLOTS:
            page.until(f"document.querySelector('[data-plot={plot}] .data path') !== null")
        states = self.legend(page, "pool-state")
        self.assertEqual(sum(states.values()), l1["memory_total_bytes"])
        self.assertEqual(states["free"], l1["memory_total_bytes"] - l1["memory_used_bytes"])
        page.until("[...document.querySelectorAll('[data-plot=pool-model] li b')].reduce((sum, b) => sum + Number(b.dataset.value), 0)"
                   f" === {l1['memory_used_bytes']}")
        latency = self.legend(page, "latency")
        for operation in ("lookup", "store", "retrieve"):
            self.assertLessEqual(latency[operation + " p50"], latency[operation + " p99"])
            self.assertIn(operation + " p99", page.value("document.querySelector('[data-plot=latency] svg').getAttribute('aria-label')"))

    def check_tables(self, page, status, engine, flash):
        answered = dict(page.value("""[...document.querySelectorAll('#operations tbody tr')]
                                      .map((row) => [row.cells[0].textContent, row.cells[1].textContent])"""))
        self.assertEqual((answered["store"], answered["retrieve"]), ("2", "1"))
        for instance, model in ((engine.instance, HOSTILE), (flash.instance, flash.model)):
            groups = status["cache_context_meta"][str(instance)]["kv_cache_layout"]["kernel_groups"]
            rows = page.value(f"""[...document.querySelector('[data-instance="{instance}"]').rows]
                                  .map((row) => [...row.cells].map((cell) => cell.textContent))""")
            self.assertIn(model, rows[0][0])
            self.assertEqual(rows[1:], [[
                str(g["kernel_group_idx"]), str(g["engine_group_idx"]), str(g["object_group_idx"]), str(g["num_layers"]),
                str(g["tokens_per_block"]), str(g["row_bytes"]), g["dtype"],
                str(g["window_tokens"]) if g["window_tokens"] > 0 else "all", g["engine_kv_format"]] for g in groups])
        self.assertEqual(page.value("[document.scripts.length, document.images.length, window.broken ?? 0]"), [1, 0, 0])

    def test_the_policy_lets_nothing_else_run(self):
        page = self.open()
        page.until(LIVE)
        page.value("""{ const script = document.createElement('script');
                        try { script.textContent = 'window.broken = 1'; document.body.append(script); } catch { } }""")
        page.value("fetch('http://localhost:1/').catch(() => 0)")
        page.until("window.violations.length >= 2")
        self.assertEqual(page.value("window.broken ?? 0"), 0)
        self.assertIn("connect-src http://localhost:1/", page.value("window.violations"))

    def test_metrics_are_read_whatever_their_labels_say(self):
        page = self.open()
        page.until(LIVE)
        text = '# HELP a b\\na{x="}\\\\" 7",y="\\\\\\\\\\\\n"} 5\\na 2\\nnot a sample\\nb{le="+Inf"} +Inf\\n'
        self.assertEqual(page.value(f"[...parseExposition('{text}')].map(([n, s]) => [n, s.map((e) => [[...e.labels], String(e.value)])])"),
                         [["a", [[[["x", '}" 7'], ["y", "\\\n"]], "5"], [[], "2"]]], ["b", [[[["le", "+Inf"]], "Infinity"]]]])

    def test_quantiles_are_prometheus_own(self):
        page = self.open()
        page.until(LIVE)

        def quantile(counts, q):
            lines = "\\n".join(f't_bucket{{le="{le}"}} {n}' for le, n in zip(("1", "2", "4", "+Inf"), counts))
            return page.value(f"quantileOf(new Map(), parseExposition('{lines}'), 't', {{}}, {q})")

        self.assertEqual(quantile((10, 10, 10, 10), 0.5), 0.5)
        self.assertEqual(quantile((0, 10, 20, 20), 0.75), 3)
        self.assertEqual(quantile((0, 0, 0, 5), 0.99), 4)  # beyond the last bound
        self.assertIsNone(quantile((0, 0, 0, 0), 0.99))

    def test_nobody_asks_while_the_tab_is_hidden(self):
        page = self.open()
        page.until(LIVE)
        page.value("Object.defineProperty(document, 'hidden', {value: true, configurable: true}), "
                   "document.dispatchEvent(new Event('visibilitychange'))")
        page.until("document.body.dataset.state === 'paused' && timer === null")
        page.value("delete document.hidden, document.dispatchEvent(new Event('visibilitychange'))")
        page.until(LIVE)
        self.assert_content(page)


class WithoutMetrics(UiCase):
    flags = ("--disable-metrics",)

    def test_what_status_says_is_shown(self):
        page = self.open()
        page.until(LIVE)
        self.assertIn("--disable-metrics", page.text("#state"))
        self.assertEqual(page.figure("l1-total"), 1 << 28)
        self.assertIsNone(page.figure("hit-rate"))
        self.assertEqual(page.text("#hit-rate"), "–")


class LostServer(unittest.TestCase):
    def test_is_shown_and_found_again(self):
        server = Server(["--l1-size-gb", "0.0625"])
        self.addCleanup(lambda: server.discard())
        page = Page(server.http + "/ui")
        self.addCleanup(page.close)
        page.until(LIVE)
        server.stop()
        page.until("document.body.dataset.state === 'lost'")
        self.assertIn("Connection lost at ", page.text("#state"))
        server.discard()
        server = Server(["--l1-size-gb", "0.125", "--http-port", server.http.rsplit(":", 1)[1]])
        page.until(LIVE)
        page.until(f"document.getElementById('l1-total').dataset.value == {1 << 27}")


class Token(TokenCase, UiCase):
    def enter(self, page, token):
        page.value(f"document.getElementById('token').value = '{token}', document.getElementById('token-form').requestSubmit()")

    def test_is_asked_for_and_kept_in_memory_alone(self):
        page = self.open()
        page.until("document.getElementById('token-dialog').open")
        self.assertEqual(page.text("#l1-used"), "–")
        self.enter(page, "wrong" + TOKEN)
        page.until("document.getElementById('token-note').textContent.includes('refused')")
        self.enter(page, TOKEN)
        page.until(LIVE)
        self.assertEqual(page.figure("l1-total"), 1 << 28)
        kept = page.value("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, document.URL])")
        self.assertEqual(page.value("document.documentElement.outerHTML.includes('" + TOKEN + "')"), False)
        self.assertNotIn(TOKEN, kept)
        self.assertFalse([url for url in page.requested if TOKEN in url])

    def test_the_page_itself_is_the_same_for_everybody(self):
        pages = {self.http(token).get("/ui").text for token in (None, TOKEN)}
        self.assertEqual(len(pages), 1)


if __name__ == "__main__":
    unittest.main()
