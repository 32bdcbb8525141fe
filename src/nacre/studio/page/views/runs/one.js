// @ts-check
/** One run: its curves while they grow, its settings, and what can be found out of it. */
import { html, useState } from "../../lib/html.js";
import { Press, Toggle, Trouble } from "../../lib/controls.js";
import { Figure } from "../../lib/figures/figure.js";
import { address } from "../../lib/router.js";
import { Confusion } from "./confusion.js";
import { Every, RunCurves } from "./curves.js";
import { Doctor } from "./doctor.js";
import { State } from "./list.js";
import { now, runs, useAnswer } from "./store.js";
import { ago, best, progress } from "./words.js";

/** @param {{name: string}} props */
export function One({ name }) {
  const heard = runs.value?.get(name);
  const { value: detail, error } = useAnswer(heard ? `runs/of/${encodeURIComponent(name)}` : null, heard);
  const run = heard && !error && detail ? detail.summary : heard; // words and curves move together: the page is drawn once
  const [log, setLog] = useState(false);
  const back = html`<p class="back"><a href=${address(["runs"])}>← All runs</a></p>`;
  if (!runs.value) return html`${back}<h1>${name}</h1><p class="waiting">Reading the folder of the runs.</p>`;
  if (!run) return html`${back}<h1>${name}</h1><${Trouble} error=${{ message: `There is no run called “${name}”.`, hint: "choose one of the list" }} />`;
  return html`${back}
    <div class="row level head"><h1>${name}</h1><${State} run=${run} />
      <span class="links">${detail?.report && html`<a class="button" href=${`api/runs/of/${encodeURIComponent(name)}/report`} target="_blank" rel="noopener">Report</a>`}
      ${run.state === "over" && html`<a class="button" href=${address(["inside", name])}>Look inside</a>`}</span></div>
    <p class="facts">${[run.data, run.network, run.best && `best: ${best(run)} in epoch ${run.best.epoch.toLocaleString("en-US")}`, `begun ${ago(run.begun, now.value)}`].filter(Boolean).join(" · ")}</p>
    ${run.state !== "over" && html`<p class="row level"><progress value=${run.epochs} max=${run.planned ?? 1} aria-label="epochs"></progress><span>${progress(run)}</span></p>`}
    ${run.state === "interrupted" && html`<p>The last sign of life was ${ago(run.seen, now.value)}. To go on: <code>nacre resume ${detail?.folder ?? name}</code></p>`}
    ${run.trouble.map((/** @type {string} */ text) => html`<p class="trouble">${text}</p>`)}
    <${Trouble} error=${error} />
    ${detail && html`
      <section class="card" aria-labelledby="curves-title">
        <div class="row between"><h2 id="curves-title">Curves</h2><${Toggle} label="Loss on a log axis" value=${log} set=${setLog} /></div>
        ${detail.curves.length === 0 && html`<p class="soft">No epoch has ended yet.</p>`}
        <div class="columns">${detail.curves.map((/** @type {any} */ one) => html`<${RunCurves} key=${one.title} curves=${one} log=${log && one.title.endsWith("loss")} />`)}</div>
        <${Every} every=${detail.every} />
      </section>
      <${Doctor} name=${name} over=${run.state !== "training"} />
      <${Confusion} name=${name} />
      <${Layers} name=${name} written=${detail.layers} />
      <${Settings} detail=${detail} />`}`;
}

/** What the run wrote of its layers while it trained, and what is computed now. @param {{name: string, written: any[]}} props */
function Layers({ name, written }) {
  const [count, set] = useState(0);
  const { value: figures, error, waiting } = useAnswer(count ? `runs/of/${encodeURIComponent(name)}/layers` : null, count);
  return html`<section class="card" aria-labelledby="layers-title">
    <div class="row between"><h2 id="layers-title">Layers</h2><${Press} off=${waiting} onClick=${() => set(count + 1)}>${figures ? "Look again" : "Look at the layers"}<//></div>
    ${written.length > 0 && html`<div class="columns">${written.map((one) => html`<${Figure} key=${one.title} of=${one} />`)}</div>`}
    ${!written.length && !figures && html`<p class="soft">With <code>nacre train --layers</code>, a run writes down what its layers do while it trains.</p>`}
    ${!figures && !waiting && html`<p class="soft">Gradient flow, activations and updates of each layer, computed from the model on 256 rows.</p>`}
    ${waiting && html`<p role="status">Reading the model and the data.</p>`}
    <${Trouble} error=${error} />
    ${figures?.map((/** @type {any} */ figure) => html`<${Figure} of=${figure} />`)}
  </section>`;
}

/** @param {{detail: any}} props */
function Settings({ detail }) {
  const told = (/** @type {any} */ value) => (Array.isArray(value) ? value.join(", ") : String(value));
  return html`<section class="card" aria-labelledby="settings-title">
    <h2 id="settings-title">Settings</h2>
    <dl class="settings">${Object.entries(detail.settings).map(([name, value]) => html`<div><dt>${name.replaceAll("_", " ")}</dt><dd>${told(value)}</dd></div>`)}</dl>
    ${detail.command && html`<p class="soft">The command that made it:</p><pre tabindex="0">${detail.command}</pre>`}
    <p class="soft">It lies in <code>${detail.folder}</code>.</p>
  </section>`;
}
