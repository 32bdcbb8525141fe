// @ts-check
/** Which classes are taken for which, and the rows behind each cell. */
import { html, useState } from "../../lib/html.js";
import { Press, Trouble } from "../../lib/controls.js";
import { percent } from "../../lib/numbers.js";
import { useAnswer } from "./store.js";

/** @typedef {{truth: number, said: number}} Cell */

/** @param {{name: string}} props */
export function Confusion({ name }) {
  const [count, set] = useState(0);
  const [cell, choose] = useState(/** @type {Cell | null} */ (null));
  const { value: found, error, waiting } = useAnswer(count ? `runs/of/${encodeURIComponent(name)}/confusion` : null, count);
  const classes = found && found.classes.length > 0;
  return html`<section class="card" aria-labelledby="confusion-title">
    <div class="row between"><h2 id="confusion-title">Mistakes</h2>
      <${Press} off=${waiting} onClick=${() => set(count + 1)}>${found ? "Judge it again" : "Show its mistakes"}<//></div>
    ${!found && !waiting && html`<p class="soft">The confusion matrix, and the rows behind each of its cells, on rows that it was not trained on if there are some.</p>`}
    ${waiting && html`<p role="status">Reading the model and the data.</p>`}
    <${Trouble} error=${error} />
    ${found && html`<p>${found.rows.toLocaleString("en-US")} rows of the ${found.part} part${classes ? `, ${percent(found.right / Math.max(1, found.rows))} right` : ""}. ${found.note}</p>`}
    ${classes && html`<${Matrix} found=${found} cell=${cell} choose=${choose} />`}
    ${found && !classes && !cell && html`<p><button onClick=${() => choose({ truth: 0, said: 0 })}>Show the rows that are furthest off</button></p>`}
    ${found && cell && html`<${Behind} key=${`${cell.truth} ${cell.said}`} name=${name} cell=${cell} classes=${found.classes} version=${count} />`}
  </section>`;
}

/** @param {{found: any, cell: Cell | null, choose: (cell: Cell) => void}} props */
function Matrix({ found: { classes, shown, counts }, cell, choose }) {
  const off = Math.max(1, ...counts.flatMap((/** @type {number[]} */ row, /** @type {number} */ i) => row.filter((_, j) => i !== j)));
  const on = Math.max(1, ...counts.map((/** @type {number[]} */ row, /** @type {number} */ i) => row[i] ?? 0));
  /** @param {number} i @param {number} j @param {number} n */
  const tint = (i, j, n) => ({ background: `color-mix(in srgb, var(${i === j ? "--above" : "--below"}) ${Math.round(12 + (48 * n) / (i === j ? on : off))}%, var(--card))` });
  return html`<p class="soft" id="confusion-how">Rows: the true class. Columns: the predicted one. Each number opens the rows behind it.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table class="confusion" aria-describedby="confusion-how">
    <thead><tr><th scope="col"></th>${shown.map((/** @type {number} */ k) => html`<th scope="col">${classes[k]}</th>`)}</tr></thead>
    <tbody>${shown.map((/** @type {number} */ t, /** @type {number} */ i) => html`<tr><th scope="row">${classes[t]}</th>
      ${shown.map((/** @type {number} */ s, /** @type {number} */ j) => {
        const n = counts[i][j];
        const here = cell?.truth === t && cell?.said === s;
        return html`<td>${n === 0 ? html`<span class="soft">0</span>` : html`<button style=${tint(i, j, n)} aria-pressed=${here}
          aria-label=${`true ${classes[t]}, predicted ${classes[s]}: ${n} row${n === 1 ? "" : "s"}`} onClick=${() => choose({ truth: t, said: s })}>${n.toLocaleString("en-US")}</button>`}</td>`;
      })}</tr>`)}</tbody>
  </table></div>`;
}

/** The rows behind a cell, worst first. @param {{name: string, cell: Cell, classes: string[], version: number}} props */
function Behind({ name, cell, classes, version }) {
  const [first, go] = useState(0);
  const { value: found, error, waiting } = useAnswer(`runs/of/${encodeURIComponent(name)}/cell/${cell.truth}/${cell.said}/${first}`, version);
  const title = classes.length ? `True ${classes[cell.truth]}, predicted ${classes[cell.said]}` : "Furthest off";
  const pictures = found?.rows[0]?.picture;
  return html`<div class="behind" aria-live="polite">
    <h3>${title}</h3>
    ${waiting && html`<p class="soft">Reading the rows.</p>`}
    <${Trouble} error=${error} />
    ${found && html`<p class="soft">${found.count.toLocaleString("en-US")} row${found.count === 1 ? "" : "s"}, ${classes.length ? "those whose true class was least believed in first" : "the largest differences first"}.</p>
      ${pictures ? html`<div class="row pictures">${found.rows.map((/** @type {any} */ row) => html`<figure key=${row.row}>
          <img src=${row.picture} alt=${`${row.label}: true ${row.truth}, predicted ${row.said}`} width="84" />
          <figcaption>${row.truth === row.said ? html`${row.said}: ${percent(row.of_said)}` : html`${row.said}: ${percent(row.of_said)}<br />true ${row.truth}: ${percent(row.of_truth)}`}<br />${row.label}</figcaption></figure>`)}</div>`
        : html`<div class="scroll" tabindex="0" role="region" aria-label=${title}><table>
          <thead><tr><th scope="col">true</th><th scope="col">predicted</th>${classes.length > 0 && html`<th scope="col">probability</th>`}${found.columns.map((/** @type {string} */ c) => html`<th scope="col">${c}</th>`)}</tr></thead>
          <tbody>${found.rows.map((/** @type {any} */ row) => html`<tr key=${row.row}><td>${row.truth}</td><td>${row.said}</td>${classes.length > 0 && html`<td class="number">${percent(row.of_said)}</td>`}${row.cells.map((/** @type {string} */ c) => html`<td>${c}</td>`)}</tr>`)}</tbody>
        </table></div>`}
      ${found.count > found.page && html`<p class="row"><${Press} off=${first === 0} onClick=${() => go(Math.max(0, first - found.page))}>Worse<//>
        <span class="soft">${first + 1} to ${Math.min(found.count, first + found.page)} of ${found.count.toLocaleString("en-US")}</span>
        <${Press} off=${first + found.page >= found.count} onClick=${() => go(first + found.page)}>Less bad<//></p>`}`}
  </div>`;
}
