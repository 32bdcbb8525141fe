// @ts-check
/** What the controls of a lesson say, and how addresses say it. */

/**
 * @typedef {{kind: string, name: string, label: string, value?: any, low?: number, high?: number, step?: number, log?: boolean, play?: boolean,
 *   options?: {value: string, label: string}[], examples?: string[], most?: number}} Control
 */

/** What an address says beside the first values: all that were changed. @param {Record<string, any>} values @param {Control[]} controls */
export function changed(values, controls) {
  /** @type {Record<string, string>} */
  const said = {};
  for (const { name, value = 0 } of controls) if (values[name] !== undefined && values[name] !== value) said[name] = String(values[name]);
  return said;
}

/** The values of all controls: what an address says of them, else the first ones. @param {Control[]} controls @param {URLSearchParams} query */
export function told(controls, query) {
  /** @type {Record<string, any>} */
  const values = {};
  for (const { name, kind, value = 0 } of controls) {
    const said = query.get(name);
    values[name] = said === null ? value : kind === "toggle" ? said === "true" : ["slider", "number", "button"].includes(kind) ? Number(said) : said;
  }
  return values;
}

/** Whether a figure needs the whole width. @param {Record<string, any>} figure */
export function wide({ kind, layers = [], pictures = [], size = 64, columns = [], svg = "" }) {
  if (kind === "network") return layers.length > 3;
  if (kind === "pictures") return pictures.length * size > 430;
  if (kind === "table") return columns.length > 5;
  if (kind === "drawing") return Number(/width="(\d+)"/.exec(svg)?.[1]) > 600;
  return kind === "text" || kind === "code";
}

/** Where a slider that plays is next, in about `frames` steps from end to end; null at the end. @param {Control} control @param {number} value @param {number} frames */
export function next({ low = 0, high = 1, step = 1 }, value, frames = 60) {
  if (value >= high) return null;
  const stride = Math.max(1, Math.round((high - low) / frames / step)) * step;
  return Math.min(high, Number((value + stride).toPrecision(6)));
}
