// @ts-check
/** What the page knows of the runs, kept up to date by one stream of events while the view is open. */
import { batch, signal, useEffect, useRef, useState } from "../../lib/html.js";
import { get, listen } from "../../lib/api.js";

/**
 * @typedef {{name: string, value: number, epoch: number}} Best
 * @typedef {{name: string, state: "training" | "over" | "interrupted", data: string, network: string, epochs: number, planned: number | null, begun: number,
 *   seen: number, best: Best | null, loss: number | null, sparks: (number | null)[], pace: number | null, trouble: string[]}} Run
 * @typedef {{id: string, run: string, kind: "ask" | "fix" | "train", command: string, state: "running" | "done" | "failed" | "canceled", begun: number,
 *   seconds: number | null, progress: string[], answer: any, error: string}} Job
 */

/** The runs by name; null until they are known. */
export const runs = signal(/** @type {Map<string, Run> | null} */ (null));
export const jobs = signal(/** @type {Job[]} */ ([]));
export const broken = signal(false);
/** What has just happened, for those who do not see it. */
export const said = signal("");
/** Seconds since 1970; moves on while the view is open. */
export const now = signal(Date.now() / 1000);
/** Names of the runs that were chosen to be compared. */
export const chosen = signal(/** @type {Set<string>} */ (new Set()));

/** The first of a stream tells `all`. @param {{runs: Run[], gone: string[], jobs: Job[] | null, all: boolean}} news */
export function heard(news) {
  const before = runs.value;
  const after = new Map(news.all ? [] : before);
  for (const name of news.gone) after.delete(name);
  /** @type {string[]} */
  const told = [];
  for (const run of news.runs) {
    const old = before?.get(run.name);
    if (before && !old) told.push(`New run: ${run.name}.`);
    else if (old && old.state !== run.state) told.push(`${run.name} is ${run.state === "over" ? "finished" : run.state}.`);
    after.set(run.name, run);
  }
  batch(() => {
    runs.value = after;
    if (news.jobs) jobs.value = news.jobs;
    if (told.length) said.value = told.join(" ");
    now.value = Date.now() / 1000;
  });
}

/** Listen until the returned function is called, as long as the page is seen: one that nobody looks at is not kept up to date. */
export function watch() {
  runs.value = null; // the stream begins with all of them
  let stop = () => {};
  const turn = () => {
    stop();
    stop = document.hidden ? () => {} : listen("runs/news", heard, (is) => (broken.value = is));
  };
  turn();
  document.addEventListener("visibilitychange", turn);
  const clock = setInterval(() => (now.value = Date.now() / 1000), 10_000);
  return () => (clearInterval(clock), document.removeEventListener("visibilitychange", turn), stop());
}

/**
 * What the engine answers; asked anew when `version` is another, but so often at most, and not while it still thinks.
 * @param {string | null} path @param {unknown} [version] @param {number} [pause] milliseconds
 * @returns {{value: any, error: any, waiting: boolean}}
 */
export function useAnswer(path, version, pause = 0) {
  const [state, set] = useState(/** @type {{path: string | null, value?: any, error?: any}} */ ({ path: null }));
  const asked = useRef(-Infinity);
  const latest = useRef(path);
  latest.current = path;
  useEffect(() => {
    if (path === null) return undefined;
    const timer = setTimeout(
      () => {
        asked.current = performance.now();
        get(path).then(
          (value) => latest.current === path && set({ path, value }),
          (error) => latest.current === path && set({ path, error }),
        );
      },
      Math.max(0, asked.current + pause - performance.now()),
    );
    return () => clearTimeout(timer);
  }, [path, version]);
  const mine = state.path === path;
  return { value: mine ? state.value : undefined, error: mine ? state.error : undefined, waiting: path !== null && !mine };
}
