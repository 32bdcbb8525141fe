// @ts-check
/** From a drawing to the picture that a network takes. */

/**
 * The mean brightness, from 0 to 1, of each of rows x columns fields of an image of width x height pixels (r, g, b, a).
 * @param {ArrayLike<number>} rgba @param {number} width @param {number} height @param {number} rows @param {number} columns @returns {number[]}
 */
export function shades(rgba, width, height, rows, columns) {
  const sums = new Float64Array(rows * columns);
  const counts = new Float64Array(rows * columns);
  for (let y = 0; y < height; y++) {
    const r = Math.min(rows - 1, Math.floor((y * rows) / height));
    for (let x = 0; x < width; x++) {
      const at = r * columns + Math.min(columns - 1, Math.floor((x * columns) / width));
      sums[at] = (sums[at] ?? 0) + (rgba[4 * (y * width + x)] ?? 0) / 255;
      counts[at] = (counts[at] ?? 0) + 1;
    }
  }
  return Array.from(sums, (s, i) => Math.round((1000 * s) / (counts[i] || 1)) / 1000);
}
