// The Prometheus text format of /metrics, and sums and quantiles over it.

/** Every sample by metric name: name -> [{labels: Map, value}]. What is no sample is skipped. */
function parseExposition(text) {
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const sample = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/s.exec(line);
    if (!sample) continue;
    const labels = new Map();
    for (const [, name, value] of (sample[2] ?? "").matchAll(/([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/gs))
      labels.set(name, value.replace(/\\(.)/gs, (_, c) => (c === "n" ? "\n" : c)));
    if (!metrics.has(sample[1])) metrics.set(sample[1], []);
    metrics.get(sample[1]).push({labels, value: Number(sample[3].replace("Inf", "Infinity"))});
  }
  return metrics;
}

/** The samples of a metric whose labels are as `wanted` says. */
function samplesOf(metrics, name, wanted = {}) {
  return (metrics.get(name) ?? []).filter(({labels}) =>
    Object.entries(wanted).every(([label, value]) => labels.get(label) === value));
}

/** Their sum; null where there is none. */
function sumOf(metrics, name, wanted) {
  const samples = samplesOf(metrics, name, wanted);
  return samples.length === 0 ? null : samples.reduce((sum, {value}) => sum + value, 0);
}

/** The different values of a label, in the order of the page. */
function labelValues(metrics, name, label) {
  return [...new Set(samplesOf(metrics, name).map(({labels}) => labels.get(label) ?? ""))];
}

/** What a counter grew by; null where it is not there, or began anew. One that was not there yet had counted nothing. */
function growth(before, now) {
  return now === null || now < (before ?? 0) ? null : now - (before ?? 0);
}

/** Quantile `q` of what a histogram counted between two readings, in its unit; null if that is nothing. */
function quantileOf(before, now, name, wanted, q) {
  const buckets = samplesOf(now, `${name}_bucket`, wanted).map(({labels, value}) => {
    const bound = labels.get("le");
    return {bound: Number(bound.replace("Inf", "Infinity")),
            count: growth(sumOf(before, `${name}_bucket`, {...wanted, le: bound}), value)};
  });
  const total = buckets.at(-1)?.count;
  if (!total || buckets.some(({count}) => count === null)) return null;
  const at = buckets.findIndex(({count}) => count >= q * total);
  const low = at === 0 ? {bound: 0, count: 0} : buckets[at - 1];
  // Beyond the last bound nothing more is known.
  if (!Number.isFinite(buckets[at].bound)) return low.bound;
  return low.bound + (buckets[at].bound - low.bound) * (q * total - low.count) / (buckets[at].count - low.count);
}
