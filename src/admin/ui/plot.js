// A plot of what a series was over the last ten minutes: lines, or areas on top of each other.

const SPAN_MS = 600_000;
const BOX = {left: 62, right: 474, top: 8, bottom: 148};
const INKS = 7;

/** A new element of the plot's SVG with these attributes. */
function shape(parent, tag, attributes, text = "") {
  const element = document.createElementNS(parent.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  parent.append(element);
}

/** 1, 2 or 5 times a power of ten (bytes: a power of two) that is at least `value`. */
function roundUp(value, binary) {
  if (!(value > 0)) return 1;
  if (binary) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * (1 - 1e-9));
}

class Plot {
  /**
   * `options`: title, note; text(value): a figure with its unit; read(sample): [{label, value, ink?, dashed?}] with null for what
   * is not known; stacked, logarithmic, binary: booleans; top(sample): the upper end, where it is given.
   */
  constructor(options, parent) {
    this.options = options;
    const root = document.getElementById("plot-template").content.cloneNode(true);
    root.querySelector("h2").textContent = options.title;
    root.querySelector("small").textContent = options.note;
    this.figure = root.querySelector("figure");
    this.svg = root.querySelector("svg");
    this.legend = root.querySelector("ul");
    this.figure.dataset.plot = options.name;
    parent.append(root);
    this.forget();
  }

  forget() {
    this.times = [];
    this.series = new Map();  // label -> {ink, dashed, values: one per time}
    this.draw(performance.now(), null);
  }

  /** Adds the sample; null draws a gap, for time in which nobody looked. */
  add(time, sample) {
    const read = sample === null ? [] : this.options.read(sample);
    for (const {label, ink, dashed} of read)
      if (!this.series.has(label))
        this.series.set(label, {ink: (ink ?? this.series.size) % INKS, dashed: Boolean(dashed), values: this.times.map(() => null)});
    this.times.push(time);
    for (const [label, series] of this.series) series.values.push(read.find((entry) => entry.label === label)?.value ?? null);
    const old = this.times.findIndex((t) => t >= time - SPAN_MS);
    this.times.splice(0, old);
    for (const [label, series] of this.series) {
      series.values.splice(0, old);
      if (series.values.every((value) => value === null)) this.series.delete(label);
    }
    this.draw(time, sample);
  }

  draw(now, sample) {
    const layers = this.layers();
    this.scale = this.scaleOf(layers, sample);
    this.x = (time) => BOX.right - (now - time) / SPAN_MS * (BOX.right - BOX.left);
    this.drawGrid();
    const data = this.svg.querySelector(".data");
    data.replaceChildren();
    for (const layer of layers) this.drawLayer(data, layer);
    this.drawLegend(layers);
  }

  /** Each series with what it is drawn between. */
  layers() {
    const below = this.times.map(() => 0);
    return [...this.series].map(([label, {ink, dashed, values}]) => {
      const low = this.options.stacked ? [...below] : null;
      const high = values.map((value, i) => (value === null ? null : this.options.stacked ? (below[i] += value) : value));
      return {label, ink, dashed, last: values.at(-1) ?? null, low, high};
    });
  }

  /** y of a value, and the values to label. */
  scaleOf(layers, sample) {
    const {logarithmic, binary, top} = this.options;
    const values = layers.flatMap(({high}) => high).filter((value) => value !== null);
    const place = (share) => BOX.bottom - Math.min(Math.max(share, 0), 1) * (BOX.bottom - BOX.top);
    if (logarithmic) {
      const positive = values.filter((value) => value > 0);
      const low = Math.floor(Math.log10(Math.min(...positive, 1e-4))), high = Math.ceil(Math.log10(Math.max(...positive, 1e-3)));
      const step = Math.ceil((high - low) / 5);
      const ticks = [];
      for (let at = low; at <= high; at += step) ticks.push(10 ** at);
      return {ticks, y: (value) => place((Math.log10(value) - low) / (high - low))};
    }
    if (sample !== null) this.given = top?.(sample);
    const end = this.given ?? roundUp(Math.max(...values, this.options.least ?? 0), binary);
    return {ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => share * end), y: (value) => place(value / end)};
  }

  drawGrid() {
    const grid = this.svg.querySelector(".grid");
    grid.replaceChildren();
    for (const tick of this.scale.ticks) {
      const y = this.scale.y(tick);
      shape(grid, "line", {x1: BOX.left, x2: BOX.right, y1: y, y2: y});
      shape(grid, "text", {x: BOX.left - 6, y: y + 4, "text-anchor": "end"}, this.options.text(tick));
    }
    for (const [minutes, anchor] of [[10, "start"], [5, "middle"], [0, "end"]])
      shape(grid, "text", {x: BOX.right - minutes / 10 * (BOX.right - BOX.left), y: BOX.bottom + 16, "text-anchor": anchor},
            minutes === 0 ? "now" : `${minutes} min ago`);
  }

  drawLayer(parent, {ink, dashed, low, high}) {
    const point = (values, i) => `${this.x(this.times[i]).toFixed(1)},${this.scale.y(values[i]).toFixed(1)}`;
    for (let begin = 0; begin < high.length; ++begin) {
      if (high[begin] === null) continue;
      let end = begin;
      while (end < high.length && high[end] !== null) ++end;
      const run = [...Array(end - begin).keys()].map((i) => begin + i);
      const there = run.map((i) => point(high, i)).join("L");
      if (low === null) {
        shape(parent, "path", {class: `line ink${ink}${dashed ? " dashed" : ""}`, d: `M${there}`});
      } else {
        shape(parent, "path", {class: `area ink${ink}`, d: `M${there}L${run.reverse().map((i) => point(low, i)).join("L")}Z`});
      }
      begin = end;
    }
  }

  /** What each line is and stands at; for those who do not see the plot this is the plot. */
  drawLegend(layers) {
    this.legend.replaceChildren(...layers.map(({label, ink, dashed, last, low}) => {
      const item = document.createElement("li"), name = document.createElement("bdi"), value = document.createElement("b");
      const key = document.createElementNS(this.svg.namespaceURI, "svg");
      key.setAttribute("viewBox", "0 0 16 10");
      key.setAttribute("aria-hidden", "true");
      const style = low === null ? `line ink${ink}${dashed ? " dashed" : ""}` : `area ink${ink}`;
      shape(key, "path", {class: style, d: low === null ? "M0,5H16" : "M0,1H16V9H0Z"});
      name.textContent = name.title = label;
      value.textContent = this.options.text(last);
      value.dataset.value = last ?? "";
      item.dataset.label = label;
      item.append(key, name, value);
      return item;
    }));
    const told = layers.map(({label, last}) => `${label} ${this.options.text(last)}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.options.title}, ${this.options.note}: ${told || "nothing yet"}`);
  }
}
