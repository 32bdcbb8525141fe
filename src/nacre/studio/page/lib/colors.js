// @ts-check
/** One meaning of color everywhere: blue is above 0, orange below; the further away, the stronger. Classes have colors of their own. */

export const ABOVE = [31, 108, 181];
export const BELOW = [230, 126, 34];
/** Told apart by people who see colors differently (Okabe and Ito). */
export const CLASSES = ["#e67e22", "#1f6cb5", "#009e73", "#cc79a7", "#b8a400", "#56b4e9", "#d55e00", "#7f7f7f", "#8c564b", "#6a3d9a"];

/** @param {number} k */
export const classColor = (k) => CLASSES[k % CLASSES.length] ?? "#7f7f7f";

/** Whether the page is dark now. */
export function dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The color of a value between -1 and 1 as [r, g, b]: the page's ground at 0. @param {number} v @param {boolean} [night] */
export function diverging(v, night = dark()) {
  const ground = night ? [32, 36, 42] : [250, 250, 250];
  const end = v < 0 ? BELOW : ABOVE;
  const share = Math.min(1, Math.abs(v));
  return ground.map((g, k) => Math.round(g + ((end[k] ?? 0) - g) * share));
}

/** From the page's ground at 0 to its ink at 1. @param {number} v @param {boolean} [night] */
export function shade(v, night = dark()) {
  const share = Math.min(1, Math.max(0, v));
  const [from, to] = night ? [20, 240] : [255, 15];
  const g = Math.round(from + (to - from) * share);
  return [g, g, g];
}

/** @param {number[]} rgb */
export const css = (rgb) => `rgb(${rgb.join(",")})`;
