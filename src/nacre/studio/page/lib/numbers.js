// @ts-check
/** Numbers as people read them, and as they travel. */

/** Three digits that mean something. @param {number | null | undefined} v */
export function short(v) {
  if (v === null || v === undefined || Number.isNaN(v)) return "–";
  const size = Math.abs(v);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return v.toExponential(1);
  if (Number.isInteger(v)) return v.toLocaleString("en-US");
  return size >= 100 ? v.toFixed(0) : size >= 10 ? v.toFixed(1) : size >= 1 ? v.toFixed(2) : v.toFixed(3);
}

/** @param {number} v */
export const percent = (v) => `${(100 * v).toFixed(1)} %`;

/** Bytes that traveled as base64. @param {string} text @returns {Uint8Array} */
export function bytes(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
