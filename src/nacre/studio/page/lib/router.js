// @ts-check
/** Where the reader is: `#/runs/abc?compare=x` is the view "runs" with the rest ["abc"] and its query. */
import { signal } from "@preact/signals";

/** @typedef {{view: string, rest: string[], query: URLSearchParams}} Place */

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a % that begins nothing stands for itself
  }
}

/** @param {string} hash @returns {Place} */
export function place(hash) {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", ...rest] = path.split("/").filter(Boolean).map(decoded);
  return { view: view || "playground", rest, query: new URLSearchParams(query) };
}

export const here = signal(place(globalThis.location?.hash ?? ""));
globalThis.addEventListener?.("hashchange", () => (here.value = place(location.hash)));

/** @param {string[]} path @param {Record<string, string>} [query] */
export function address(path, query = {}) {
  const said = new URLSearchParams(query).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${said ? `?${said}` : ""}`;
}
