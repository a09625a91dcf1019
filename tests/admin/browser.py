"""A page in headless Chromium, driven over the DevTools protocol on a pipe: JSON messages that end in NUL."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from admin import PATIENCE, eventually

CHROMIUM = shutil.which("chromium")
# Told to the page before its own script runs; the protocol reports violations only as text of the console.
WATCH_POLICY = """window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(`${e.effectiveDirective} ${e.blockedURI}`));"""


class Page:
    """`console` has what the page complained of, `requested` every address it asked for."""

    def __init__(self, url):
        self.console, self.requested = [], []
        self._buffer, self._ids, self._session, self._loaded = b"", 0, None, False
        self._profile = tempfile.TemporaryDirectory(prefix="lmcache-test-", ignore_cleanup_errors=True)
        self._start()
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(domain + ".enable")
        self._call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
        self._call("Emulation.setScrollbarsHidden", hidden=True)
        self._call("Page.addScriptToEvaluateOnNewDocument", source=WATCH_POLICY)
        self._call("Page.navigate", url=url)
        deadline = time.monotonic() + PATIENCE
        while not self._loaded:
            self._next(deadline)

    def _start(self):
        theirs, self._to = os.pipe()
        self._from, ours = os.pipe()
        # Out of the way of 3 and 4, which Chromium reads from and writes to.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs, ours)]
        for fd in (theirs, ours):
            os.close(fd)
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", CHROMIUM, "--headless", "--remote-debugging-pipe",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
             "--user-data-dir=" + self._profile.name],
            pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in ends:
            os.close(fd)

    def _call(self, method, **params):
        self._ids += 1
        message = {"id": self._ids, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._ids:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self, deadline):
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError("Chromium does not answer")
            data = os.read(self._from, 1 << 16)
            if not data:
                raise AssertionError("Chromium has gone")
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(message)
        self._note(message.get("method"), message.get("params"))
        return message

    def _note(self, method, params):
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.console.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.console.append(params["entry"]["text"])

    def value(self, expression):
        """Of a JavaScript expression, in the page."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']['exception'].get('description')}")
        return result["result"].get("value")

    def until(self, expression):
        """Polls until the expression is true."""
        eventually(lambda: self.value(expression), expression)

    def text(self, selector):
        return self.value(f"document.querySelector({json.dumps(selector)}).textContent")

    def figure(self, name):
        """The number behind a figure of the page, None where it has none."""
        value = self.value(f"document.getElementById({json.dumps(name)}).dataset.value")
        return float(value) if value else None

    def picture(self, path, scheme):
        """Writes all of the page as a PNG, in the "light" or the "dark" scheme."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        data = self._call("Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "scale": 1})["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def close(self):
        self._session = None
        self._call("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()
