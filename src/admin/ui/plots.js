// Which plots there are. A sample is {now, before: {metrics, status}, seconds between the two}.

const MODELS_SHOWN = 6;
const PLOTTED_OPERATIONS = ["lookup", "store", "retrieve"];

/** Growth a second of what `read` takes from a reading. */
function rateOf({now, before, seconds}, read) {
  const grown = before === null ? null : growth(read(before), read(now));
  return grown === null ? null : grown / seconds;
}

/** Bytes the copy threads and the GPUs have moved; `field` is the GPUs' name of the direction. */
function movedBytes({metrics, status}, direction, field) {
  const copied = sumOf(metrics, "lmcache_mp_copied_bytes_total", {direction});
  return copied === null ? null : status.gpus.reduce((sum, gpu) => sum + gpu[field], copied);
}
const storedRate = (sample) => rateOf(sample, (reading) => movedBytes(reading, "store", "stored_bytes"));
const retrievedRate = (sample) => rateOf(sample, (reading) => movedBytes(reading, "retrieve", "retrieved_bytes"));

function hitRate(sample) {
  const hit = rateOf(sample, ({metrics}) => sumOf(metrics, "lmcache_mp_lookup_hit_tokens_total"));
  const asked = rateOf(sample, ({metrics}) => sumOf(metrics, "lmcache_mp_lookup_requested_tokens_total"));
  // A lookup between the reading of the two is in one of them only.
  return hit === null || !asked ? null : Math.min(1, hit / asked);
}

const l1Of = ({now}) => now.status.storage_manager.l1_manager;

function poolByState(sample) {
  const {memory_used_bytes: used, memory_total_bytes: total, staging_bytes: staging} = l1Of(sample);
  const counted = sumOf(sample.now.metrics, "lmcache_mp_l1_model_bytes", {state: "pinned"}) ?? 0;
  const pinned = Math.min(counted, used - staging);  // it is a little older
  return [{label: "pinned", value: pinned, ink: 0}, {label: "being written", value: staging, ink: 1},
          {label: "evictable", value: used - staging - pinned, ink: 2}, {label: "free", value: total - used, ink: 6}];
}

function poolByModel({now: {metrics}}) {
  const models = samplesOf(metrics, "lmcache_mp_l1_model_bytes", {state: "resident"})
    .map(({labels, value}) => ({label: labels.get("model_name") ?? "", value}))
    .sort((a, b) => b.value - a.value);
  const rest = models.slice(MODELS_SHOWN);
  if (rest.length === 0) return models;
  const others = {label: "all others", value: rest.reduce((sum, {value}) => sum + value, 0), ink: INKS - 1};
  return [...models.slice(0, MODELS_SHOWN), others];
}

function latency({now, before}, operation, q) {
  return before === null ? null : quantileOf(before.metrics, now.metrics, "lmcache_mp_request_work_seconds", {operation}, q);
}

const PLOTS = [
  {name: "pool-state", title: "L1 by state", note: "bytes", text: bytesText, stacked: true,
   top: (sample) => l1Of(sample).memory_total_bytes, read: poolByState},
  {name: "pool-model", title: "L1 by model", note: "resident bytes", text: bytesText, stacked: true, binary: true, least: 1 << 20,
   read: poolByModel},
  {name: "hit-rate", title: "Hit rate", note: "share of tokens looked up", text: percentText, top: () => 1,
   read: (sample) => [{label: "hit", value: hitRate(sample)}]},
  {name: "transfers", title: "Transfers", note: "bytes a second", text: speedText, least: 1e6,
   read: (sample) => [{label: "stored", value: storedRate(sample)}, {label: "retrieved", value: retrievedRate(sample)}]},
  {name: "latency", title: "Latency", note: "from turn to answer; p50 dashed", text: secondsText,
   logarithmic: true,
   read: (sample) => PLOTTED_OPERATIONS.flatMap((operation, ink) =>
     [[0.99, "p99"], [0.5, "p50"]].map(([q, name]) =>
       ({label: `${operation} ${name}`, value: latency(sample, operation, q), ink, dashed: q === 0.5})))},
  {name: "evictions", title: "Evictions", note: "bytes a second", text: speedText, least: 1e6,
   read: (sample) => labelValues(sample.now.metrics, "lmcache_mp_l1_evicted_bytes_total", "reason").map((reason) =>
     ({label: reason, value: rateOf(sample, ({metrics}) => sumOf(metrics, "lmcache_mp_l1_evicted_bytes_total", {reason}))}))},
];
