// @ts-check
/** The way to the engine: JSON in and out, and streams of events. Addresses are relative, so the studio may live behind a prefix. */

/** What the engine refused, with what to do. */
export class Refused extends Error {
  /** @param {string} message @param {string} [hint] @param {number} [status] */
  constructor(message, hint = "", status = 400) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(`api/${path}`, options);
  } catch {
    throw new Refused("The studio does not answer.", "is `nacre studio` still running in its terminal?", 0);
  }
  const body = await answer.json().catch(() => ({ error: answer.statusText }));
  const hint = answer.status === 401 ? "open the address that `nacre studio` printed: it holds the token" : body.hint;
  if (!answer.ok) throw new Refused(body.error ?? answer.statusText, hint, answer.status);
  return body;
}

/** @param {string} path @returns {Promise<any>} */
export const get = (path) => ask(path);

/** @param {string} path @param {unknown} [body] @returns {Promise<any>} */
export const post = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/**
 * Events as they come, until the returned function is called. `broken` is told when the line breaks and is tried again.
 * @param {string} path @param {(message: any) => void} heard @param {(broken: boolean) => void} [broken] @returns {() => void}
 */
export function listen(path, heard, broken = () => {}) {
  const source = new EventSource(`api/${path}`);
  source.onmessage = (event) => heard(JSON.parse(event.data));
  source.onopen = () => broken(false);
  source.onerror = () => broken(true);
  return () => source.close();
}
