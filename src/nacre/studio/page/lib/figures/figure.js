// @ts-check
/** What the engine gives to be shown, by its kind. The kinds are made in studio/figures.py. */
import { html } from "../html.js";
import { short } from "../numbers.js";
import { theme } from "../theme.js";
import { Curves } from "./curves.js";
import { Heat } from "./heat.js";
import { Network } from "./network.js";

/** @param {{title?: string, bars: {label: string, value: number, note?: string}[]}} props */
export function Bars({ title, bars }) {
  const most = Math.max(1e-12, ...bars.map((b) => Math.abs(b.value)));
  return html`<figure class="bars">
    ${title && html`<figcaption>${title}</figcaption>`}
    <table><tbody>
      ${bars.map((b) => html`<tr><th scope="row">${b.label}</th>
        <td class="bar"><span class=${b.value < 0 ? "below" : "above"} style=${{ width: `${(100 * Math.abs(b.value)) / most}%` }}></span></td>
        <td class="number">${b.note ?? short(b.value)}</td></tr>`)}
    </tbody></table>
  </figure>`;
}

/** @param {{title?: string, columns: string[], rows: (string | number | null)[][], marked?: number}} props */
export function Table({ title, columns, rows, marked }) {
  return html`<figure class="table">
    ${title && html`<figcaption>${title}</figcaption>`}
    <div class="scroll" tabindex="0" role="region" aria-label=${title ?? "table"}><table>
      <thead><tr>${columns.map((c, k) => html`<th scope="col" class=${typeof rows[0]?.[k] === "number" ? "number" : ""}>${c}</th>`)}</tr></thead>
      <tbody>${rows.map((row, i) => html`<tr class=${i === marked ? "marked" : ""}>${row.map((v) => html`<td class=${typeof v === "number" ? "number" : ""}>${typeof v === "number" ? short(v) : v}</td>`)}</tr>`)}</tbody>
    </table></div>
  </figure>`;
}

/** @param {{title?: string, pictures: any[], size?: number}} props */
export function Pictures({ title, pictures, size = 64 }) {
  return html`<figure class="pictures">
    ${title && html`<figcaption>${title}</figcaption>`}
    <div class="row">${pictures.map((p) => html`<${Heat} ...${p} size=${size} title=${p.title ?? p.label} />`)}</div>
  </figure>`;
}

/** A drawing of the engine's, as an image: nothing in it can run. @param {{title?: string, svg: string, label?: string}} props */
export function Drawing({ title, svg, label }) {
  const seen = svg.replaceAll("@media (prefers-color-scheme: dark)", theme.value === "dark" ? "@media all" : "@media not all"); // as chosen
  return html`<figure class="drawing">
    ${title && html`<figcaption>${title}</figcaption>`}
    <div class="scroll" tabindex="0" role="region" aria-label=${label ?? title ?? "drawing"}>
      <img alt=${label ?? title ?? ""} decoding="sync" src=${`data:image/svg+xml;utf8,${encodeURIComponent(seen)}`} />
    </div>
  </figure>`;
}

/** As large as it is, or as wide as `size` where that is given: pictures to learn from may be a few pixels. @param {{title?: string, src: string, label: string, size?: number}} props */
const Image = ({ title, src, label, size }) => html`<figure class="image">${title && html`<figcaption>${title}</figcaption>`}<img alt=${label} src=${src} width=${size} /></figure>`;

/** @param {{text: string, strong?: boolean}} props */
const Words = ({ text, strong }) => html`<p class=${strong ? "verdict" : ""}>${text}</p>`;
/** @param {{text: string, title?: string}} props */
const Code = ({ text, title }) => html`<figure class="code">${title && html`<figcaption>${title}</figcaption>`}<pre tabindex="0">${text}</pre></figure>`;

/** @type {Record<string, any>} */
const KINDS = { curves: Curves, heat: Heat, network: Network, bars: Bars, table: Table, pictures: Pictures, drawing: Drawing, image: Image, text: Words, code: Code };

/** @param {{of: {kind: string} & Record<string, any>}} props */
export function Figure({ of: { kind, ...rest } }) {
  const Kind = KINDS[kind];
  if (!Kind) throw new Error(`no figure of kind ${kind}`);
  return html`<${Kind} ...${rest} />`;
}
