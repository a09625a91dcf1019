// The tables. Every text of the server's goes in as text, so nothing in it is markup.

const ENGINES_SHOWN = 200;

function cell(tag, content, attributes = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  const text = document.createElement("bdi");  // a name may be written from the right
  text.textContent = content;
  element.append(text);
  return element;
}

function row(cells) {
  const element = document.createElement("tr");
  element.append(...cells);
  return element;
}

function showOperations(sample) {
  const {metrics} = sample.now;
  const rows = labelValues(metrics, "lmcache_mp_requests_total", "operation").map((operation) => row([
    cell("th", operation, {scope: "row"}),
    cell("td", countText(sumOf(metrics, "lmcache_mp_requests_total", {operation}))),
    cell("td", countText(sumOf(metrics, "lmcache_mp_request_failures_total", {operation}) ?? 0)),
    cell("td", rateText(rateOf(sample, (reading) => sumOf(reading.metrics, "lmcache_mp_requests_total", {operation})))),
    cell("td", secondsText(latency(sample, operation, 0.5))),
    cell("td", secondsText(latency(sample, operation, 0.99))),
  ]));
  document.querySelector("#operations tbody").replaceChildren(...rows);
}

function groupRow(group) {
  return row([
    cell("th", group.kernel_group_idx, {scope: "row"}), cell("td", group.engine_group_idx), cell("td", group.object_group_idx),
    cell("td", group.num_layers), cell("td", group.tokens_per_block), cell("td", group.row_bytes), cell("td", group.dtype),
    cell("td", group.window_tokens > 0 ? group.window_tokens : "all"), cell("td", group.engine_kv_format),
  ]);
}

function engineBody([instance, {model_name: model, world_size: world, kv_cache_layout: layout}]) {
  const body = document.createElement("tbody");
  body.dataset.instance = instance;
  const title = `${model} · instance ${instance} · world size ${world} · ${countText(layout.num_layers)} layers · ` +
    `${countText(layout.num_blocks)} blocks · ${bytesText(layout.cache_size_per_token)} a token`;
  body.append(row([cell("th", title, {scope: "rowgroup", colspan: "9"})]), ...layout.kernel_groups.map(groupRow));
  return body;
}

let enginesShown = "";  // unchanged rows are left alone, so that they can be selected and copied

function showEngines(engines) {
  const text = JSON.stringify(engines);
  if (text === enginesShown) return;
  enginesShown = text;
  const all = Object.entries(engines).sort(([, a], [, b]) => (a.model_name < b.model_name ? -1 : 1));
  const table = document.getElementById("engines");
  for (const body of [...table.tBodies]) body.remove();
  table.append(...all.slice(0, ENGINES_SHOWN).map(engineBody));
  const left = all.length - ENGINES_SHOWN;
  document.getElementById("engines-note").textContent =
    all.length === 0 ? "No engine is registered." : left > 0 ? `and ${left} more, see /status` : "";
}
