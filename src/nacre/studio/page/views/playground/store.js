// @ts-check
/** The play that is shown: what the engine told of it, and what can be told to the engine. */
import { batch, signal } from "../../lib/html.js";
import { Refused, get, listen, post } from "../../lib/api.js";

/**
 * @typedef {{name: string, units: number, activation: string}} Layer
 * @typedef {{hidden: Layer[], inputs: string[], noise: number, optimizer: string, learning_rate: number, batch_size: number, l1: number, l2: number, dropout: number}} Settings
 * @typedef {{source: string, rows: number, test: number, formula: string, table: string, target: string, axes: string[]}} Data
 * @typedef {{label: string, low: number, high: number, ends: [number, number]}} Axis
 * @typedef {{classes: string[], inputs: string[], outputs: number, training: number, test: number, judged: number, side: number | null, settings: Settings, data: Data, seed: number,
 *   initializer: string, changes: number, axes?: [Axis, Axis], training_points?: number[][], test_points?: number[][], input_pictures?: string[],
 *   table: {columns: string[], numbers: string[]} | null, samples?: {pixels: number[][], labels: number[]}}} Shown
 * @typedef {{step: number, epoch: number, row: number, ahead: number, loss: (number | null)[], score: number[], playing: boolean, speed: number,
 *   layers: {name: string, kernel: string, bias: string, units: number, pictures?: string[]}[], plane?: string, winner?: string, sure?: any,
 *   first?: string[], confusion?: number[][], said?: number[]}} Frame
 */

export const choices = signal(/** @type {any} */ (null));
export const shown = signal(/** @type {Shown | null} */ (null));
export const settings = signal(/** @type {Settings | null} */ (null));
export const playing = signal(false);
export const speed = signal(0);
export const ahead = signal(false);
export const trouble = signal(/** @type {any} */ (null));
/** A unit that is pointed at, and one that was chosen to be looked into. */
export const pointed = signal(/** @type {{layer: number, unit: number} | null} */ (null));
export const chosen = signal(/** @type {{layer: number, unit: number} | null} */ (null));

/** @type {Frame | null} */
let latest = null;
/** @type {[number, number | null, number | null][]} */
export const curve = [];
/** @type {Set<(frame: Frame) => void>} */
const watchers = new Set();
let asked = false;
let name = "";
let stop = () => {};

/** Have each frame drawn, the newest one now. @param {(frame: Frame) => void} draw @returns {() => void} */
export function watch(draw) {
  watchers.add(draw);
  if (latest) draw(latest);
  return () => watchers.delete(draw);
}

function draw() {
  asked = false;
  if (latest) for (const each of watchers) each(latest);
}

/** @param {any} message */
function heard(message) {
  if (message.step === undefined) return;
  latest = message;
  curve.length = message.curve.from;
  curve.push(...message.curve.points);
  batch(() => {
    if (message.shown) {
      shown.value = message.shown;
      settings.value = expected(message.shown.settings);
    }
    playing.value = message.playing;
    speed.value = message.speed;
    ahead.value = message.ahead > 0;
    if (message.trouble) trouble.value = message.trouble;
  });
  if (!asked) {
    asked = true;
    requestAnimationFrame(draw);
  }
}

/** @param {string} id */
function follow(id) {
  stop();
  name = id;
  sessionStorage.setItem("nacre-play", id);
  stop = listen(`playground/${id}/events`, heard, (broken) => broken && lost());
}

let looking = false;
/** The line broke: go on with the same play, or, if the studio knows it no more, with one like it. */
async function lost() {
  if (looking) return;
  looking = true;
  await new Promise((done) => setTimeout(done, 500));
  try {
    await get(`playground/${name}`);
    follow(name);
  } catch (error) {
    if (error instanceof Refused && error.status) await open(shown.value ? { recipe: asRecipe() } : {}, true);
    else trouble.value = error;
  }
  looking = false;
}

/** What is said of a play that begins with what is chosen now. @param {{data?: Partial<Data>, settings?: Settings, initializer?: string, seed?: number}} [other] */
function asRecipe({ data = {}, ...other } = {}) {
  const now = shown.value;
  return { data: { ...now?.data, ...data }, settings: settings.value, initializer: now?.initializer, seed: now?.seed, ...other };
}

/** Do it, and say what went wrong. @template T @param {() => Promise<T>} what @returns {Promise<T | undefined>} */
async function attempt(what) {
  try {
    trouble.value = null;
    return await what();
  } catch (error) {
    trouble.value = error;
    return undefined;
  }
}

/** Begin a play, in the place of the one there is. @param {{recipe?: any, link?: string, file?: string}} wanted @param {boolean} [beside] */
export const open = (wanted, beside = false) =>
  attempt(async () => {
    const answer = await post("playground/open", { ...wanted, instead: beside ? "" : name });
    chosen.value = pointed.value = null;
    if (answer.id !== name) follow(answer.id);
    return answer;
  });

/** Begin again with other data, another initializer or seed. @param {{data?: Partial<Data>, settings?: Settings, initializer?: string, seed?: number}} other */
export const reopen = (other) => open({ recipe: asRecipe(other) });

let begun = false;
/** The play of this page, or a link's, or a new one. @param {string | null} link */
export async function begin(link) {
  if (begun && !link) return;
  begun = true;
  await attempt(async () => (choices.value ??= await get("playground/choices")));
  if (link) return void (await open({ link }, !name));
  const kept = sessionStorage.getItem("nacre-play");
  if (kept)
    try {
      await get(`playground/${kept}`);
      return follow(kept);
    } catch {
      sessionStorage.removeItem("nacre-play");
    }
  await open({}, true);
}

/** Stop listening; the play waits for a while. */
export function leave() {
  stop();
  begun = false;
}

/** Changes that the engine is not told yet, and the one that it is being told. @type {Record<string, any>[]} */
const waiting = [];
/** @type {Record<string, any> | null} */
let told = null;

/** What the engine says of the settings, with what it will hear. @param {any} said */
function expected(said) {
  const { weight: _, ...coming } = Object.assign({}, told, ...waiting);
  return { ...said, ...coming };
}

/** Change settings or a weight; settings that change while the engine is told go together, later. @param {Record<string, any>} patch */
export async function change(patch) {
  const last = waiting.at(-1);
  if (last && !last.weight && !patch.weight) Object.assign(last, patch);
  else waiting.push({ ...patch });
  settings.value = expected(settings.value);
  if (told) return;
  while ((told = waiting.shift() ?? null)) {
    const tell = told;
    const answer = await attempt(() => post(`playground/${name}/change`, tell));
    told = null;
    settings.value = expected(answer?.settings ?? shown.value?.settings);
  }
}

/** A file that somebody gave: a recipe, or a table. @param {File | undefined} file */
export async function take(file) {
  if (!file) return;
  const text = await file.text();
  await (file.name.endsWith(".json") ? open({ file: text }) : table(text));
}

/** Begin with a table; its last column is what one wants to know, until one says otherwise. @param {string} text */
export async function table(text) {
  const seen = await attempt(() => post("playground/table", { text }));
  if (seen) await reopen({ data: { source: "table", table: text, target: seen.target, axes: [] } });
}

/** @param {{on?: boolean, speed?: number}} how */
export const play = (how) => attempt(() => post(`playground/${name}/play`, how));
/** @param {{batches?: number, epoch?: boolean}} far */
export const step = (far) => attempt(() => post(`playground/${name}/step`, far));
export const again = () => attempt(() => post(`playground/${name}/begin`, {}));
export const share = () => attempt(() => get(`playground/${name}/share`));
export const modelAddress = () => `api/playground/${name}/model`;
