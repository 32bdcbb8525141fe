// @ts-check
/** Where the units of a network are drawn, and which line is nearest. Pure: numbers in, numbers out. */

/**
 * @typedef {{x: number, y: number}} Place
 * @typedef {{layer: number, from: number, to: number, a: Place, b: Place}} Line  `layer` is that of the unit it leads to; 0 is the first with weights
 * @typedef {{width: number, height: number, apart: number, size: number, columns: number[], units: Place[][], lines: Line[]}} Layout
 */

export const HEAD = 112;
const APART = 128;
const CLOSE = 83; // so that two hidden layers fit into a phone
const PHONE = 480;

/**
 * Units in columns from left to right, each column in the middle.
 * @param {number[]} counts units drawn in each column, inputs first @param {number} room width there is @param {boolean} [first] whether lines come from the inputs @param {number} [left] kept free for names
 * @returns {Layout}
 */
export function layout(counts, room, first = true, left = 0) {
  const most = Math.max(1, ...counts);
  const apart = room < PHONE ? CLOSE : APART;
  const size = Math.max(20, Math.min(room < PHONE ? 36 : 44, Math.floor(400 / most) - 8));
  const pitch = size + Math.max(6, Math.min(16, Math.floor(size / 3)));
  const width = Math.max(room, left + apart * counts.length);
  const height = HEAD + Math.max(most, 4) * pitch + 12;
  const columns = counts.map((_, k) => Math.round(left + ((k + 0.5) * (width - left)) / counts.length));
  const units = counts.map((n, k) => Array.from({ length: n }, (_, i) => ({ x: columns[k] ?? 0, y: HEAD + (height - HEAD) / 2 + (i - (n - 1) / 2) * pitch })));
  const lines = counts.slice(1).flatMap((_, layer) =>
    layer === 0 && !first
      ? []
      : (units[layer] ?? []).flatMap((p, from) =>
          (units[layer + 1] ?? []).map((q, to) => ({ layer, from, to, a: { x: p.x + size / 2, y: p.y }, b: { x: q.x - size / 2, y: q.y } })),
        ),
  );
  return { width, height, apart, size, columns, units, lines };
}

/** A line that leaves and arrives level. @param {Line} line */
export function path({ a, b }) {
  const middle = (a.x + b.x) / 2;
  return `M${a.x} ${a.y}C${middle} ${a.y} ${middle} ${b.y} ${b.x} ${b.y}`;
}

/** The number of the line nearest to a point, -1 if none is near. @param {Line[]} lines @param {number} x @param {number} y @param {number} [reach] */
export function nearest(lines, x, y, reach = 7) {
  let best = -1;
  let least = reach * reach;
  lines.forEach(({ a, b }, k) => {
    if (x < a.x || x > b.x) return;
    for (let n = 0; n <= 24; n++) {
      const t = n / 24;
      const px = a.x + (b.x - a.x) * (1.5 * t * (1 - t) + t * t * t);
      const py = a.y + (b.y - a.y) * t * t * (3 - 2 * t);
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [k, far];
    }
  });
  return best;
}

/** The first name of the form hidden_1 that is not taken. @param {{name: string}[]} hidden */
export function fresh(hidden) {
  let k = 1;
  while (hidden.some((layer) => layer.name === `hidden_${k}`)) k++;
  return `hidden_${k}`;
}
