// @ts-check
/** Several runs beside each other: in what they differ, and one figure of all of them. */
import { html, useState } from "../../lib/html.js";
import { Select, Toggle, Trouble } from "../../lib/controls.js";
import { figure as told } from "../../lib/numbers.js";
import { address } from "../../lib/router.js";
import { Every, RunCurves } from "./curves.js";
import { runs, useAnswer } from "./store.js";

const PAUSE = 2000; // milliseconds between two looks at runs that train

/** @param {{names: string}} props */
export function Compare({ names }) {
  const version = names.split("/").map((name) => runs.value?.get(name)?.seen).join(" ");
  const path = runs.value ? `runs/compare/${names.split("/").map(encodeURIComponent).join("/")}` : null;
  const { value: found, error } = useAnswer(path, version, PAUSE);
  const [figure, setFigure] = useState("");
  const [log, setLog] = useState(false);
  const figures = found ? Object.keys(found.curves) : [];
  /** How many of the runs wrote a figure down. @param {string} name */
  const runsWith = (name) => found.curves[name].lines.filter((/** @type {any} */ line) => line.values.some((/** @type {number | null} */ v) => v !== null)).length;
  const most = Math.max(0, ...figures.map(runsWith));
  const common = figures.filter((name) => runsWith(name) === most);
  const shown = figures.includes(figure) ? figure : (common.find((name) => name === "val_loss") ?? common[0] ?? "");
  return html`<p class="back"><a href=${address(["runs"])}>← All runs</a></p><h1>Compare</h1>
    <${Trouble} error=${error} />
    ${!found && !error && html`<p class="waiting">Reading the runs.</p>`}
    ${found && Object.entries(found.without).map(([name, why]) => html`<p class="trouble"><strong>${name}</strong> is left out: ${why}</p>`)}
    ${found && figures.length > 0 && html`
      <section class="card" aria-labelledby="overlay-title">
        <h2 id="overlay-title">Curves</h2>
        <div class="row tools"><${Select} label="Metric" value=${shown} options=${figures} set=${setFigure} /><${Toggle} label="Log axis" value=${log} set=${setLog} /></div>
        ${runsWith(shown) < found.names.length && html`<p class="soft">${runsWith(shown)} of the ${found.names.length} runs wrote ${shown} down.</p>`}
        <${RunCurves} curves=${found.curves[shown]} log=${log} height=${320} />
        <${Every} every=${found.every} />
      </section>
      <section class="card" aria-labelledby="differing-title">
        <h2 id="differing-title">What differs</h2>
        <div class="scroll" tabindex="0" role="region" aria-label="What differs"><table>
          <thead><tr><th scope="col"></th>${found.names.map((/** @type {string} */ name) => html`<th scope="col"><a href=${address(["runs", name])}>${name}</a></th>`)}</tr></thead>
          <tbody>
            ${found.differing.map((/** @type {string[]} */ [key, ...cells]) => html`<tr><th scope="row">${key?.replaceAll("_", " ")}</th>${cells.map((cell) => html`<td>${cell || "–"}</td>`)}</tr>`)}
            ${found.differing.length === 0 && html`<tr><th scope="row">settings</th><td colspan=${found.names.length}>the same</td></tr>`}
            <tr class="above"><th scope="row">best epoch</th>${found.best.map((/** @type {number} */ epoch) => html`<td>${epoch.toLocaleString("en-US")}</td>`)}</tr>
            ${found.figures.map((/** @type {[string, (number | null)[]]} */ [name, values]) => html`<tr><th scope="row">${name}</th>${values.map((value) => html`<td>${told(name, value)}</td>`)}</tr>`)}
          </tbody></table></div>
        <p class="soft">The figures are those of each run's best epoch, by the validation loss, or by the loss where there was no validation.</p>
      </section>`}`;
}
