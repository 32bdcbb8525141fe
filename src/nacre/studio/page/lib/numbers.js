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

/** A share; a small one is not none. @param {number} v */
export const percent = (v) => (v > 0 && v < 0.0005 ? "< 0.1 %" : `${(100 * v).toFixed(1)} %`);

/** Whether a figure of that name is a share of rows. @param {string} name */
export const isShare = (name) => /(^|_)accuracy$/.test(name);

/** A figure as it is said everywhere: shares in percent. @param {string} name @param {number | null | undefined} v */
export const figure = (name, v) => (isShare(name) && typeof v === "number" && Number.isFinite(v) ? percent(v) : short(v));

/** Bytes that traveled as base64. @param {string} text @returns {Uint8Array} */
export function bytes(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
