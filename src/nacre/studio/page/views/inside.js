// @ts-check
/** One model, looked into: draw a digit, take a step, see the graph and the weights. `#/inside/RUN/tab`. */
import { html, useEffect, useState } from "../lib/html.js";
import { get, post } from "../lib/api.js";
import { address, here } from "../lib/router.js";
import { Select, Trouble } from "../lib/controls.js";
import { short } from "../lib/numbers.js";
import { Drawn, Weights } from "./inside/drawn.js";
import { Ask } from "./inside/ask.js";
import { Step } from "./inside/step.js";

/** @type {[string, string, any][]} */
const TABS = [
  ["ask", "Ask it", Ask],
  ["step", "One step", Step],
  ["graph", "Graph", Drawn],
  ["weights", "Weights", Weights],
];

/** @typedef {{name: string, command: string, rows: number, part: string, labels: string[] | null, classes: string[] | null, picture: number[] | null,
 *   layers: {name: string, kind: string, parameters: number}[], parameters: number, optimizer: string | null, steps: number}} Model */

export function Inside() {
  const [name = "", tab = "ask"] = here.value.rest;
  const [known, setKnown] = useState(/** @type {{models: {name: string}[], training: boolean} | null} */ (null));
  const [model, setModel] = useState(/** @type {Model | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const chosen = name || known?.models[0]?.name || "";
  const waits = known !== null && known.models.length === 0 && known.training;

  useEffect(() => {
    const look = () => get("inside/models").then(setKnown, setError);
    look();
    if (!waits) return;
    const timer = setInterval(look, 700);
    return () => clearInterval(timer);
  }, [waits]);

  useEffect(() => {
    setModel(null);
    setError(null);
    if (chosen) get(`inside/models/${encodeURIComponent(chosen)}`).then(setModel, setError);
  }, [chosen]);

  if (known && !known.models.length && !name) return html`<${Empty} training=${known.training} begin=${() => post("inside/train").then(() => setKnown({ ...known, training: true }), setError)} />`;
  const Tab = (TABS.find(([id]) => id === tab) ?? TABS[0])?.[2];
  return html`
    <div class="row inside-head">
      <h1>Inside a network</h1>
      ${known && html`<${Select} label="Model" value=${chosen} options=${known.models.map((m) => m.name)} set=${(/** @type {string} */ v) => (location.hash = address(["inside", v, tab]))} />`}
      ${model && html`<p class="soft">${model.layers.map((l) => l.name).join(" → ")}, ${short(model.parameters)} parameters</p>`}
    </div>
    <${Trouble} error=${error} />
    ${chosen && html`<nav class="tabs" aria-label="Ways to look inside">
      ${TABS.map(([id, title]) => html`<a href=${address(["inside", chosen, id])} aria-current=${id === tab ? "page" : undefined}>${title}</a>`)}
    </nav>`}
    ${model ? html`<${Tab} key=${`${model.name}/${tab}`} model=${model} />` : !error && html`<p class="waiting" role="status">Opening the model and its data…</p>`}`;
}

/** @param {{training: boolean, begin: () => void}} props */
function Empty({ training, begin }) {
  return html`<h1>Inside a network</h1>
    <div class="card">
      <p>There is no trained network in this folder yet.</p>
      <button class="main" onClick=${begin} disabled=${training}>${training ? "Training on handwritten digits…" : "Train one on handwritten digits"}</button>
      <p class="soft">It takes a few seconds. Any run of <code>nacre train</code> in the folder of the studio appears here too.</p>
    </div>`;
}
