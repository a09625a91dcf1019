"""docs/MIGRATION.md against the published package and this server: every flag, endpoint and metric, and what is said of it."""

import argparse
import ast
import fnmatch
import glob
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import unittest

import documents
from admin import PATIENCE, AdminCase
from server import BINARY

DOCUMENT = documents.read("docs", "MIGRATION.md")
SWITCHES = {"on": True, "off": False}


def spans(cell):
    return documents.SPAN.findall(cell)


def reference_flags():
    """The published server's own parser: (names, default, choices) of each flag."""
    from lmcache.cli.commands.server import ServerCommand

    parser = argparse.ArgumentParser(add_help=False)
    ServerCommand().add_arguments(parser)
    return [(action.option_strings, action.default, action.choices) for action in parser._actions]


def reference_routes():
    from fastapi import FastAPI
    from lmcache.v1.multiprocess.http_api_registry import HTTPAPIRegistry

    app = FastAPI()
    HTTPAPIRegistry(app).register_all_apis()
    return routes_of(app.openapi())


def routes_of(openapi):
    return {f"{method.upper()} {path}" for path, methods in openapi["paths"].items() for method in methods}


def reference_instruments():
    """What the published server's source creates: (kind, name, unit) of each instrument."""
    folder = os.path.dirname(importlib.util.find_spec("lmcache").origin)
    for part in ("mp_observability", "multiprocess", "distributed"):
        for path in glob.glob(os.path.join(folder, "v1", part, "**", "*.py"), recursive=True):
            with open(path) as file:
                calls = [node for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.Call)]
            for call in calls:
                function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                names = [text for text in texts if re.fullmatch(r"lmcache_\w+\.[\w.]+", text)]
                units = [keyword.value.value for keyword in call.keywords if keyword.arg == "unit"]
                if function == "register_gauge" and names:
                    yield "observable_gauge", names[0], ""
                elif function.startswith("create_") and names:
                    yield function.removeprefix("create_"), names[0], units[0] if units else ""


def reference_metrics():
    """Names of all of them as the published exporter writes them: it adds the unit and _total."""
    from lmcache.v1.mp_observability.otel_init import init_otel_metrics
    from opentelemetry import metrics
    from prometheus_client import REGISTRY

    init_otel_metrics(start_http_server=False)
    meter = metrics.get_meter("names")
    for kind, name, unit in reference_instruments():
        if kind.startswith("observable_"):
            getattr(meter, "create_" + kind)(name, callbacks=[lambda _: [metrics.Observation(1)]], unit=unit)
            continue
        instrument = getattr(meter, "create_" + kind)(name, unit=unit)
        getattr(instrument, "record" if kind == "histogram" else "add")(1)
    return {family.name + ("_total" if family.type == "counter" else "")
            for family in REGISTRY.collect() if family.name.startswith("lmcache_")}


def our_flags():
    """Flags that act, with their defaults, from docs/SERVER_FLAGS.md, which the program writes."""
    acting = documents.read("docs", "SERVER_FLAGS.md").split("\n### Refused\n")[0]
    return {name: row[1] for row in documents.rows(acting) for name in re.findall(r"--[\w-]+", row[0])}


# Two flags that contradict each other, so that a server which takes all others does not start either.
NO_START = ("--heartbeat-interval-seconds", "5", "--heartbeat-timeout-seconds", "1")


def refused(*words):
    done = subprocess.run([BINARY, "server", *words, *NO_START], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 2:
        raise AssertionError(done)
    return " is not supported: " in done.stderr


def same_default(theirs, ours):
    """Of a value of the published parser and a text of docs/SERVER_FLAGS.md."""
    if theirs in (None, "", []):
        return ours in ("empty", "--max-workers")  # none, or that of another flag, on both sides
    if isinstance(theirs, bool):
        return SWITCHES.get(ours) == theirs
    if isinstance(theirs, (int, float)):
        return float(ours) == theirs
    return ours == theirs


class Flags(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = documents.rows(documents.section(DOCUMENT, "Flags"))
        cls.reference = reference_flags()
        cls.ours = our_flags()

    def test_each_is_there_once(self):
        documented = [name for row in self.rows for name in spans(row[0])]
        self.assertEqual(len(documented), len(set(documented)))
        # The command line adds a few to the parser's.
        names = {name for strings, _, _ in self.reference for name in strings} | {"--format", "--output", "--quiet", "-q"}
        self.assertEqual(set(documented), names)

    def test_verdicts_are_the_programs(self):
        known = {name: (default, choices) for strings, default, choices in self.reference for name in strings}
        for flag, verdict, _ in self.rows:
            for name in spans(flag):
                with self.subTest(name):
                    default, choices = known.get(name, (None, None))
                    if verdict == "refused":
                        self.assertFalse(name in self.ours)
                        value = () if isinstance(default, bool) else ("7",)
                        self.assertTrue(refused(name, *value))
                        continue
                    self.assertTrue(name in self.ours)
                    fewer = any(refused(name, choice) for choice in choices or ())
                    if name == "--hash-algorithm":  # its choices are not the parser's
                        fewer = refused(name, "sha256_cbor") and refused(name, "builtin")
                    same = same_default(default, self.ours[name])
                    actual = "fewer values" if fewer else "same" if same else "other default"
                    self.assertEqual(verdict, actual, f"{default!r} there, {self.ours[name]!r} here")


class Endpoints(AdminCase):
    def test_each_is_there_and_judged_rightly(self):
        rows = documents.rows(documents.section(DOCUMENT, "HTTP"))
        documented = [spans(row[0])[0] for row in rows]
        self.assertEqual(len(documented), len(set(documented)))
        self.assertEqual(set(documented), reference_routes())
        ours = routes_of(self.http().get("/openapi.json").json)
        for endpoint, verdict, _ in rows:
            with self.subTest(endpoint):
                self.assertIn(verdict, ("same", "not offered"))
                self.assertEqual(verdict == "same", spans(endpoint)[0] in ours)


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rows = documents.rows(documents.section(DOCUMENT, "Metrics"))
        cls.absent = [pattern for row in rows for pattern in spans(row[0])]
        cls.ours = {spans(row[0])[0]: row[1:] for row in documents.rows(documents.read("docs", "METRICS.md"))}
        cls.recorded = json.loads(documents.read("tests", "data", "reference_metrics.json"))

    def is_absent(self, name):
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.absent)

    def test_what_is_absent_is(self):
        for pattern in self.absent:
            self.assertEqual(fnmatch.filter(self.ours, pattern), [], pattern)

    def test_each_of_the_reference_is_exported_or_named(self):
        names = reference_metrics()
        self.assertGreater(len(names), 60)
        for name in names | set(self.recorded["metrics"]):
            with self.subTest(name):
                self.assertTrue(name in self.ours or self.is_absent(name), "neither in METRICS.md nor among those not exported")

    def test_what_is_marked_as_the_references_has_its_name_type_and_labels(self):
        self.assertEqual(self.recorded["version"], importlib.metadata.version("lmcache"))
        for name, (kind, _, labels, of_reference, _) in self.ours.items():
            theirs = self.recorded["metrics"].get(name)
            with self.subTest(name):
                self.assertEqual(of_reference == "yes", theirs is not None)
                if theirs:
                    self.assertEqual((kind, sorted(filter(None, labels.split(", ")))), (theirs["type"], theirs["labels"]))


if __name__ == "__main__":
    unittest.main()
