// @ts-check
/** All runs, those that train now among them, to be sorted, filtered and compared. */
import { html, signal, useState } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { Press, Select, Trouble } from "../../lib/controls.js";
import { short } from "../../lib/numbers.js";
import { address } from "../../lib/router.js";
import { chosen, now, runs } from "./store.js";
import { ago, best, epochs, filtered, sorted, sparkline } from "./words.js";

/** @typedef {import("./store.js").Run} Run */

/** @type {[string, string][]} */
const COLUMNS = [["name", "Run"], ["state", "State"], ["data", "Data"], ["network", "Network"], ["best", "Best metric"], ["epochs", "Epochs"], ["loss", "Loss"], ["begun", "Begun"]];
const order = signal({ by: "begun", down: true });
const words = signal("");
const state = signal("all");

/** @param {string} by */
const turn = (by) => (order.value = { by, down: order.value.by === by ? !order.value.down : by === "begun" || by === "best" });

/** @param {string} name */
function choose(name) {
  const next = new Set(chosen.value);
  if (!next.delete(name)) next.add(name);
  chosen.value = next;
}

/** @param {{run: Run}} props */
export const State = ({ run }) => html`<span class=${`state ${run.state}`}>${run.state === "over" ? "finished" : run.state}</span>`;

/** @param {{run: Run}} props */
function Spark({ run }) {
  if (run.sparks.filter((v) => v !== null).length < 2) return null;
  return html`<svg class="spark" viewBox="0 0 96 24" width="96" height="24" aria-hidden="true"><polyline points=${sparkline(run.sparks, 96, 24)} /></svg>`;
}

/** @param {{run: Run}} props */
function Row({ run }) {
  return html`<tr class=${chosen.value.has(run.name) ? "chosen" : ""}>
    <td class="choice"><input type="checkbox" checked=${chosen.value.has(run.name)} aria-label=${`Compare ${run.name}`} onChange=${() => choose(run.name)} /></td>
    <th scope="row"><a href=${address(["runs", run.name])}>${run.name}</a>
      ${run.trouble.length > 0 && html`<span class="wrong" title=${run.trouble.join(" ")}>${run.trouble.join(" ")}</span>`}</th>
    <td><${State} run=${run} /></td>
    <td class=${run.data ? "" : "none"}>${run.data || "–"}</td>
    <td class=${run.network ? "" : "none"}>${run.network || "–"}</td>
    <td class=${run.best ? "" : "none"} title=${run.best ? `in epoch ${run.best.epoch}` : ""}>${best(run)}</td>
    <td class="epochs">${epochs(run)}</td>
    <td class=${`loss ${run.loss === null ? "none" : ""}`}><${Spark} run=${run} /><span>${short(run.loss)}</span></td>
    <td>${ago(run.begun, now.value)}</td>
  </tr>`;
}

function Empty() {
  const [begun, setBegun] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  const begin = () => (setBegun(true), setError(null), post("inside/train").catch((/** @type {any} */ e) => (setError(e), setBegun(false))));
  return html`<div class="card"><p>There are no runs here yet.</p>
    <p><${Press} class="main" off=${begun} onClick=${begin}>${begun ? "Training on handwritten digits…" : "Train one on handwritten digits"}<//></p>
    <${Trouble} error=${error} />
    <p class="soft">Those of the command line, such as this one, appear here by themselves:</p><pre tabindex="0">nacre train digits</pre></div>`;
}

export function List() {
  const all = runs.value;
  const picked = [...chosen.value].filter((name) => all?.has(name));
  const shown = all && sorted(filtered(all.values(), words.value, state.value), order.value.by, order.value.down);
  const { by, down } = order.value;
  return html`<h1>Runs</h1>
    ${!all && html`<p class="waiting">Reading the folder of the runs.</p>`}
    ${all?.size === 0 && html`<${Empty} />`}
    ${all && all.size > 0 && shown && html`
      <div class="row tools">
        <div class="control"><label for="runs-words">Filter</label>
          <input id="runs-words" type="text" value=${words.value} placeholder="name, data or network" onInput=${(/** @type {any} */ e) => (words.value = e.target.value)} /></div>
        <${Select} label="State" value=${state.value} options=${["all", "training", { value: "over", label: "finished" }, "interrupted"]} set=${(/** @type {string} */ v) => (state.value = v)} />
        <${Select} label="Sort by" value=${by} options=${COLUMNS.map(([value, label]) => ({ value, label }))} set=${turn} />
        <span class="soft count">${shown.length} of ${all.size} runs</span>
        ${picked.length >= 2
          ? html`<a class="button main" href=${address(["runs"], { compare: picked.join("/") })}>Compare ${picked.length} runs</a>`
          : html`<span class="soft count">Choose two or more to compare them.</span>`}
      </div>
      <div class="card list"><table>
        <thead><tr><th scope="col"><span class="unseen">Compare</span></th>
          ${COLUMNS.map(([name, title]) => html`<th scope="col" aria-sort=${by === name ? (down ? "descending" : "ascending") : undefined}>
            <button class="quiet" onClick=${() => turn(name)}>${title}<span aria-hidden="true">${by === name ? (down ? " ↓" : " ↑") : ""}</span></button></th>`)}</tr></thead>
        <tbody>${shown.map((run) => html`<${Row} key=${run.name} run=${run} />`)}</tbody>
      </table>${shown.length === 0 && html`<p class="soft">No run is like that.</p>`}</div>`}`;
}
