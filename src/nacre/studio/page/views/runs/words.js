// @ts-check
/** How runs are said, chosen and put in order: pure functions. */
import { figure, short } from "../../lib/numbers.js";

/** @typedef {import("./store.js").Run} Run */

/** How long something takes. @param {number} seconds */
export function span(seconds) {
  if (seconds < 1) return "less than a second";
  for (const [size, unit] of /** @type {[number, string][]} */ ([[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]])) {
    const count = Math.floor(seconds / size);
    if (count >= 1) return `${count} ${unit}${count === 1 ? "" : "s"}`;
  }
  return "";
}

/** @param {number} then @param {number} now */
export const ago = (then, now) => (now - then < 1 ? "just now" : `${span(now - then)} ago`);

/** @param {Run} run */
export const best = (run) => (run.best ? `${run.best.name} ${figure(run.best.name, run.best.value)}` : "–");

/** @param {Run} run */
export const epochs = (run) => `${run.epochs.toLocaleString("en-US")}${run.planned && run.state !== "over" ? ` of ${run.planned.toLocaleString("en-US")}` : ""}`;

/** How far a training is. @param {Run} run */
export function progress(run) {
  const left = run.pace && run.planned && run.planned > run.epochs ? `, about ${span((run.planned - run.epochs) / run.pace)} left` : "";
  const pace = run.pace ? `, ${short(run.pace)} epochs per second` : "";
  return `epoch ${epochs(run)}${pace}${left}`;
}

/** @type {Record<string, (run: Run) => string | number>} */
const KEYS = {
  name: (run) => run.name,
  state: (run) => ["training", "interrupted", "over"].indexOf(run.state),
  data: (run) => run.data,
  network: (run) => run.network,
  best: (run) => run.best?.value ?? NaN,
  epochs: (run) => run.epochs,
  loss: (run) => run.loss ?? NaN,
  begun: (run) => run.begun,
};

const NAMES = new Intl.Collator("en", { numeric: true });
/** @param {Run} a @param {Run} b */
const byName = (a, b) => NAMES.compare(a.name, b.name);

/** In order of one property; those without it come last either way. @param {Iterable<Run>} runs @param {string} by @param {boolean} down @returns {Run[]} */
export function sorted(runs, by, down) {
  const key = KEYS[by] ?? ((/** @type {Run} */ run) => run.begun);
  const none = (/** @type {string | number} */ v) => typeof v === "number" && Number.isNaN(v);
  return [...runs].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (none(x) || none(y)) return Number(none(x)) - Number(none(y)) || byName(a, b);
    const order = typeof x === "string" ? NAMES.compare(x, String(y)) : x - Number(y);
    return (down ? -order : order) || byName(a, b);
  });
}

/** Those in a state, whose name, data or network holds all words. @param {Iterable<Run>} runs @param {string} words @param {string} state @returns {Run[]} */
export function filtered(runs, words, state) {
  const asked = words.toLowerCase().split(/\s+/).filter(Boolean);
  return [...runs].filter((run) => {
    const text = `${run.name} ${run.data} ${run.network}`.toLowerCase();
    return (state === "all" || run.state === state) && asked.every((word) => text.includes(word));
  });
}

/** The points of a small curve, for an SVG of this size; gaps are passed over. @param {(number | null)[]} values @param {number} width @param {number} height */
export function sparkline(values, width, height) {
  const there = values.flatMap((v, i) => (v === null ? [] : [/** @type {[number, number]} */ ([i, v])]));
  const [low, high] = [Math.min(...there.map((p) => p[1])), Math.max(...there.map((p) => p[1]))];
  const step = (width - 2) / Math.max(1, values.length - 1);
  return there.map(([i, v]) => `${(1 + i * step).toFixed(1)},${(height - 2 - ((v - low) / (high - low || 1)) * (height - 4)).toFixed(1)}`).join(" ");
}

/** A curve on a log axis has no place for what is not above 0. @param {(number | null)[]} values */
export const positive = (values) => values.map((v) => (v !== null && v > 0 ? v : null));

/** The last part of a path. @param {string} path */
export const leaf = (path) => path.split(/[\\/]/).filter(Boolean).at(-1) ?? "";
