// @ts-check
/** Curves of runs, the losses on a log axis if wanted. */
import { html, useMemo } from "../../lib/html.js";
import { Curves } from "../../lib/figures/curves.js";
import { isShare } from "../../lib/numbers.js";
import { positive } from "./words.js";

/** @param {{curves: any, log: boolean, height?: number}} props */
export function RunCurves({ curves: { kind: _, title, x, lines }, log, height = 240 }) {
  const drawn = useMemo(() => (log ? lines.map((/** @type {any} */ line) => ({ ...line, values: positive(line.values) })) : lines), [lines, log]);
  return html`<${Curves} title=${title} x=${x} y=${{ log, percent: isShare(title) }} lines=${drawn} height=${height} />`;
}

/** @param {{every: number}} props */
export const Every = ({ every }) => (every > 1 ? html`<p class="soft">The curves show one epoch in ${every}.</p>` : null);
