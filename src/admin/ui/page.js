// Asks /status and /metrics every two seconds while somebody looks, and shows what they say.

const POLL_MS = 2000;
const WINDOW_MS = 10_000;
const PATIENCE_MS = 10_000;

class Refused extends Error {}  // the bearer token is missing or wrong

let token = null;       // in memory only
let readings = [];      // {time, metrics, status} of the last WINDOW_MS
let timer = null;
let plots = [];

function setState(state, text) {
  document.body.dataset.state = state;
  const element = document.getElementById("state");
  if (element.textContent !== text) element.textContent = text;
}

function setFigure(id, value, text) {
  const element = document.getElementById(id);
  element.textContent = text;
  element.dataset.value = value ?? "";
}

async function ask(path) {
  const headers = token === null ? {} : {Authorization: `Bearer ${token}`};
  const answer = await fetch(path, {headers, cache: "no-store", credentials: "omit", redirect: "error",
                                    signal: AbortSignal.timeout(PATIENCE_MS)});
  if (answer.status === 401) throw new Refused();
  if (path === "/metrics" && answer.status === 404) return "";  // --disable-metrics
  if (!answer.ok) throw new Error(`${path} is answered with ${answer.status}`);
  return answer.text();
}

function showFigures(sample) {
  const {metrics, status} = sample.now;
  const l1 = l1Of(sample);
  const build = samplesOf(metrics, "lmcache_mp_build_info")[0]?.labels;
  document.getElementById("build").textContent = build ? `${build.get("version")} · ${build.get("instance_id")}` : "";
  setFigure("l1-used", l1.memory_used_bytes, bytesText(l1.memory_used_bytes));
  setFigure("l1-total", l1.memory_total_bytes, `of ${bytesText(l1.memory_total_bytes)}, ${percentText(l1.memory_usage_ratio)}`);
  for (const [id, value, text] of [["hit-rate", hitRate(sample), percentText], ["stored", storedRate(sample), speedText],
                                   ["retrieved", retrievedRate(sample), speedText]])
    setFigure(id, value, text(value));
  const requests = rateOf(sample, (reading) => sumOf(reading.metrics, "lmcache_mp_requests_total"));
  setFigure("requests", requests, rateText(requests));
  const engines = Object.keys(status.cache_context_meta).length;
  setFigure("engines-count", engines, countText(engines));
  const open = status.connections.open;
  setFigure("connections", open, open === 1 ? "1 connection" : `${countText(open)} connections`);
}

function show(reading) {
  const last = readings.at(-1);
  // A gap in the readings is a gap in the plots; a server that started anew has another history.
  const started = (of) => sumOf(of.metrics, "process_start_time_seconds");
  if (last && started(last) !== started(reading)) {
    readings = [];
    for (const plot of plots) plot.forget();
  } else if (last && reading.time - last.time > 2 * POLL_MS + PATIENCE_MS) {
    readings = [];
    for (const plot of plots) plot.add(last.time, null);
  }
  readings = readings.filter(({time}) => time > reading.time - WINDOW_MS);
  const before = readings[0] ?? null;
  readings.push(reading);
  const sample = {now: reading, before, seconds: before === null ? 0 : (reading.time - before.time) / 1000};
  showFigures(sample);
  for (const plot of plots) plot.add(reading.time, sample);
  showOperations(sample);
  showEngines(reading.status.cache_context_meta);
  const healthy = reading.status.is_healthy ? "" : "; the server is unwell, see /healthcheck";
  setState("live", (reading.metrics.size > 0 ? "Live" : "Live, without metrics: --disable-metrics") + healthy);
}

async function poll() {
  timer = null;
  try {
    const [status, metrics] = await Promise.all([ask("/status"), ask("/metrics")]);
    show({time: performance.now(), metrics: parseExposition(metrics), status: JSON.parse(status)});
  } catch (error) {
    if (error instanceof Refused) return askForToken();
    const since = document.body.dataset.state === "lost" ? "" : ` at ${new Date().toLocaleTimeString()}`;
    if (since) setState("lost", `Connection lost${since}, trying again: ${error.message}`);
  }
  schedule();
}

/** The next poll, if none is due and somebody looks. */
function schedule() {
  if (document.hidden) return setState("paused", "Paused while this tab is hidden");
  timer ??= setTimeout(poll, POLL_MS);
}

function askForToken() {
  document.getElementById("token-note").textContent = token === null
    ? "It stays in this page's memory and is forgotten with it." : "The server refused that token.";
  token = null;
  setState("unauthorised", "Bearer token required");
  document.getElementById("token-dialog").showModal();
}

function start() {
  plots = PLOTS.map((options) => new Plot(options, document.getElementById("plots")));
  document.getElementById("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("token");
    token = field.value.replace(/[^\x21-\x7e]/g, "");  // what a header can carry
    field.value = "";
    document.getElementById("token-dialog").close();
    poll();
  });
  // Escape closes a dialog, but without a token there is nothing behind it.
  document.getElementById("token-dialog").addEventListener("close", ({target}) => token ?? target.showModal());
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = null;
    if (document.body.dataset.state === "unauthorised") return;
    if (document.hidden) schedule(); else poll();
  });
  poll();
}

start();
