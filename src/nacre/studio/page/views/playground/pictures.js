// @ts-check
/** Pictures that came as bytes, onto canvases: through tables of colors, since there are many and they change often. */
import { classColor, diverging } from "../../lib/colors.js";
import { bytes } from "../../lib/numbers.js";

/** @type {Map<boolean, Uint32Array>} */
const TABLES = new Map();
/** Colors of -128 to 127, as they lie in an ImageData. @param {boolean} night */
function table(night) {
  let found = TABLES.get(night);
  if (!found) {
    found = new Uint32Array(256);
    for (let k = 0; k < 256; k++) {
      const [r = 0, g = 0, b = 0] = diverging((k < 128 ? k : k - 256) / 127, night);
      found[k] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    TABLES.set(night, found);
  }
  return found;
}

/** @type {WeakMap<HTMLCanvasElement, {context: CanvasRenderingContext2D, image: ImageData, words: Uint32Array}>} */
const KEPT = new WeakMap();
/** @param {HTMLCanvasElement} canvas @param {number} side */
function surface(canvas, side) {
  let kept = KEPT.get(canvas);
  if (!kept || kept.image.width !== side || canvas.width !== side) {
    canvas.width = canvas.height = side;
    const image = new ImageData(side, side);
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    kept = { context, image, words: new Uint32Array(image.data.buffer) };
    KEPT.set(canvas, kept);
  }
  return kept;
}

/** Orange below 0, blue above: a square of int8. @param {HTMLCanvasElement} canvas @param {string} text @param {boolean} night */
export function signed(canvas, text, night) {
  const values = bytes(text);
  const { context, image, words } = surface(canvas, Math.round(Math.sqrt(values.length)));
  const colors = table(night);
  for (let i = 0; i < values.length; i++) words[i] = colors[values[i] ?? 0] ?? 0;
  context.putImageData(image, 0, 0);
}

/** The class that is said in each cell, the stronger the surer. @param {HTMLCanvasElement} canvas @param {string} winner @param {string} sure @param {boolean} night */
export function classes(canvas, winner, sure, night) {
  const [who, how] = [bytes(winner), bytes(sure)];
  const { context, image, words } = surface(canvas, Math.round(Math.sqrt(who.length)));
  const ground = night ? 36 : 250;
  for (let i = 0; i < who.length; i++) {
    const hex = parseInt(classColor(who[i] ?? 0, night).slice(1), 16);
    const share = 0.15 + (0.75 * (how[i] ?? 0)) / 255;
    const [r, g, b] = [hex >> 16, (hex >> 8) & 255, hex & 255].map((c) => Math.round(ground + (c - ground) * share));
    words[i] = (255 << 24) | ((b ?? 0) << 16) | ((g ?? 0) << 8) | (r ?? 0);
  }
  context.putImageData(image, 0, 0);
}

/** Brightness as ink: pixels of 0 to 255. @param {HTMLCanvasElement} canvas @param {ArrayLike<number>} pixels @param {boolean} night */
export function ink(canvas, pixels, night) {
  const { context, image, words } = surface(canvas, Math.round(Math.sqrt(pixels.length)));
  for (let i = 0; i < pixels.length; i++) {
    const g = night ? (pixels[i] ?? 0) : 255 - (pixels[i] ?? 0);
    words[i] = (255 << 24) | (g << 16) | (g << 8) | g;
  }
  context.putImageData(image, 0, 0);
}

/** Numbers of four bytes each. @param {string} text */
export const floats = (text) => new Float32Array(bytes(text).buffer);
