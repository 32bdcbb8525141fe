// @ts-check
/** Questions that come faster than their answers: one is under way at a time, and of those that wait only the latest is asked. */

/**
 * @template Q, A
 * @param {(question: Q) => Promise<A>} ask
 * @param {(answer: A, question: Q) => void} heard
 * @param {(error: any, question: Q) => void} failed
 * @param {(busy: boolean) => void} [busy]
 * @returns {{want: (question: Q) => void, stop: () => void}}
 */
export function latest(ask, heard, failed, busy = () => {}) {
  /** @type {{question: Q} | null} */
  let waiting = null;
  let underWay = false;
  let over = false;

  async function go() {
    underWay = true;
    busy(true);
    while (waiting && !over) {
      const { question } = waiting;
      waiting = null;
      try {
        const answer = await ask(question);
        if (!over && !waiting) heard(answer, question);
      } catch (error) {
        if (!over && !waiting) failed(error, question);
      }
    }
    underWay = false;
    if (!over) busy(false);
  }

  return {
    want(question) {
      waiting = { question };
      if (!underWay) go();
    },
    stop() {
      over = true;
    },
  };
}
