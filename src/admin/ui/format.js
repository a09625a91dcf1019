// Figures as text, with their unit. null is a figure there is not.

const NOTHING = "–";

/** Three digits that mean something. */
function digits(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function bytesText(value) {
  if (value === null) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const at = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  return at === 0 ? `${Math.round(value)} B` : `${digits(value / 1024 ** at)} ${units[at]}`;
}

/** Bytes a second, in the GB of copy speeds. */
function speedText(value) {
  return value === null ? NOTHING : value === 0 ? "0 GB/s" : value < 5e6 ? `${digits(value / 1e6)} MB/s` : `${digits(value / 1e9)} GB/s`;
}

function secondsText(value) {
  if (value === null) return NOTHING;
  return value < 1e-3 ? `${digits(value * 1e6)} µs` : value < 1 ? `${digits(value * 1e3)} ms` : `${digits(value)} s`;
}

function percentText(value) {
  return value === null ? NOTHING : `${(value * 100).toFixed(1)} %`;
}

function rateText(value) {
  return value === null ? NOTHING : value === 0 ? "0" : digits(value);
}

function countText(value) {
  return value === null ? NOTHING : value.toLocaleString("en");
}
