// @ts-check
/** Of many wishes in a row, the first and the newest are fulfilled: one at a time, and never an old one after a newer. */

/** @template T @param {(wish: T) => Promise<unknown>} fulfil @returns {(wish: T) => void} */
export function latest(fulfil) {
  let busy = false;
  /** @type {{wish: T} | null} */
  let next = null;
  /** @param {T} wish */
  const go = async (wish) => {
    if (busy) {
      next = { wish };
      return;
    }
    busy = true;
    try {
      await fulfil(wish);
    } finally {
      busy = false;
      const waiting = next;
      next = null;
      if (waiting) void go(waiting.wish);
    }
  };
  return (wish) => void go(wish);
}
