// @ts-check
/** One meaning of color everywhere: blue is above 0, orange below; the further away, the stronger. Classes have colors of their own. */

const ABOVE = { day: [31, 108, 181], night: [108, 176, 238] };
const BELOW = { day: [204, 102, 16], night: [240, 160, 90] };
/** Told apart by people who see colors differently (after Okabe and Ito), and each 3 to 1 against the page's ground. */
export const CLASSES = ["#cc6610", "#1f6cb5", "#009e73", "#c46a9c", "#8f7f00", "#2b8ac9", "#b2182b", "#7f7f7f", "#8c564b", "#6a3d9a"];
/** The same ones where the ground is dark. */
const NIGHT = ["#f0a05a", "#6cb0ee", "#2fc193", "#e08fbe", "#d0bd2a", "#b5e3ff", "#ff6b5e", "#a5abb2", "#c08a7a", "#b08be0"];
/** Rows that were learned from, and rows that were not, mean the same in all curves; they are no classes, and have no sign. */
const PARTS = { day: { learned: "#5b6b7b", other: "#cc3f7c" }, night: { learned: "#b3bfca", other: "#ff82b4" } };

/** @param {number} k @param {boolean} [night] */
export const classColor = (k, night = dark()) => (night ? NIGHT : CLASSES)[k % CLASSES.length] ?? "#7f7f7f";

/** The color of a line: the given one, made for the ground that there is; else that of what it is called; else that of its number.
 * @param {string | undefined} color @param {string} label @param {number} k @param {boolean} [night] */
export function lineColor(color, label, k, night = dark()) {
  if (color) return CLASSES.includes(color) ? classColor(CLASSES.indexOf(color), night) : color;
  const parts = PARTS[night ? "night" : "day"];
  return label === "training" ? parts.learned : label === "validation" || label === "test" ? parts.other : classColor(k, night);
}

/** Whether the page is dark now. */
export function dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The color of a value between -1 and 1 as [r, g, b]: the page's ground at 0. @param {number} v @param {boolean} [night] */
export function diverging(v, night = dark()) {
  const ground = night ? [32, 36, 42] : [250, 250, 250];
  const end = (v < 0 ? BELOW : ABOVE)[night ? "night" : "day"];
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

/** What can be read on a color: white or black, whichever differs more (WCAG's relative luminance). @param {number[]} rgb */
export function inkOn(rgb) {
  const [r = 0, g = 0, b = 0] = rgb.map((c) => (c <= 10 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** @param {number[]} rgb */
export const css = (rgb) => `rgb(${rgb.join(",")})`;
