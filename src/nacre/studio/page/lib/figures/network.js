// @ts-check
/** Units as circles in columns, weights as lines between them: blue above 0, orange below, the thicker the larger. */
import { html } from "../html.js";
import { css, diverging } from "../colors.js";
import { short } from "../numbers.js";
import { theme } from "../theme.js";

/**
 * @typedef {{label?: string, value?: number | null, note?: string}} Unit
 * @typedef {{name: string, units: Unit[]}} Column
 * @typedef {{title?: string, layers: Column[], weights: (number[][] | null)[], height?: number}} NetworkProps
 * weights[k][i][j] leads from unit i of layer k to unit j of the next; null draws thin grey lines.
 */

/** @param {NetworkProps} props */
export function Network({ title, layers, weights, height = 260 }) {
  const night = theme.value === "dark";
  const width = Math.max(320, layers.length * 150);
  const most = Math.max(...layers.map((l) => l.units.length));
  const below = (/** @type {number} */ n) => (height - 30) / n > 2 * radius + 13;
  const radius = Math.max(5, Math.min(18, height / (2.6 * most)));
  /** @param {number} k @param {number} i @returns {[number, number]} */
  const at = (k, i) => {
    const n = layers[k]?.units.length ?? 1;
    const x = layers.length === 1 ? width / 2 : 50 + (k * (width - 100)) / (layers.length - 1);
    return [x, 24 + ((i + 0.5) * (height - 30)) / n];
  };
  const largest = Math.max(1e-12, ...weights.flatMap((w) => (w ?? []).flat().map(Math.abs)));
  const values = Math.max(1e-12, ...layers.flatMap((l) => l.units.map((u) => Math.abs(u.value ?? 0))));
  const lines = weights.flatMap((w, k) =>
    Array.from({ length: layers[k]?.units.length ?? 0 }, (_, i) =>
      Array.from({ length: layers[k + 1]?.units.length ?? 0 }, (_, j) => {
        const v = w?.[i]?.[j];
        if (w && v === undefined) return null;
        const [x1, y1] = at(k, i);
        const [x2, y2] = at(k + 1, j);
        const share = v === undefined ? 0.1 : Math.abs(v) / largest;
        const color = v === undefined ? "var(--line)" : css(diverging(Math.sign(v) * (0.25 + 0.75 * share), night));
        return html`<line x1=${x1} y1=${y1} x2=${x2} y2=${y2} stroke=${color} stroke-width=${0.5 + 4 * share}><title>${v === undefined ? "" : `weight ${short(v)}`}</title></line>`;
      }),
    ),
  );
  const said = `A network: ${layers.map((l) => `${l.name}, ${l.units.length} units`).join("; ")}`;
  return html`<figure class="network">
    ${title && html`<figcaption>${title}</figcaption>`}
    <svg viewBox="0 0 ${width} ${height}" role="img" aria-label=${said}>
      ${lines}
      ${layers.map((l, k) => html`<text x=${at(k, 0)[0]} y="14" text-anchor="middle" class="name">${l.name}</text>
        ${l.units.map((u, i) => {
          const [x, y] = at(k, i);
          const fill = u.value === undefined || u.value === null ? "var(--card)" : css(diverging(u.value / values, night));
          const text = u.label ?? (u.value === undefined || u.value === null ? "" : short(u.value));
          return html`<g><circle cx=${x} cy=${y} r=${radius} fill=${fill} stroke="var(--ink-soft)"><title>${u.note ?? `${l.name}, unit ${i}: ${short(u.value)}`}</title></circle>
            ${below(l.units.length) ? html`<text x=${x} y=${y + radius + 11} text-anchor="middle" class="small">${text}</text>`
              : k === 0 ? html`<text x=${x - radius - 4} y=${y + 4} text-anchor="end" class="small">${text}</text>`
              : k === layers.length - 1 && html`<text x=${x + radius + 4} y=${y + 4} class="small">${text}</text>`}</g>`;
        })}`)}
    </svg>
  </figure>`;
}
