// @ts-check
/** The graph of a step, by layers, operations or kernels with their times; and all weights as pictures. */
import { html, useEffect, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { Select, Trouble } from "../../lib/controls.js";
import { Figure } from "../../lib/figures/figure.js";

const GRAPHS = [
  { value: "step", label: "a training step, by layers" },
  { value: "operations", label: "a training step, every operation" },
  { value: "predict", label: "a prediction" },
  { value: "plan", label: "the plan: kernels with their times" },
];

/** @param {{model: import("../inside.js").Model}} props */
export function Drawn({ model }) {
  const [what, setWhat] = useState("step");
  const [figure, setFigure] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  useEffect(() => {
    setFigure(null);
    setError(null);
    get(`inside/models/${encodeURIComponent(model.name)}/graph?what=${what}`).then(setFigure, setError);
  }, [what]);
  return html`<div class="card">
    <div class="row"><${Select} label="Graph of" value=${what} options=${GRAPHS} set=${setWhat} /></div>
    <${Trouble} error=${error} />
    ${figure ? html`<${Figure} of=${figure} />` : !error && html`<p class="waiting" role="status">Drawing…</p>`}
  </div>`;
}

/** @param {{model: import("../inside.js").Model}} props */
export function Weights({ model }) {
  const [figures, setFigures] = useState(/** @type {any[]} */ ([]));
  const [error, setError] = useState(/** @type {any} */ (null));
  useEffect(() => void get(`inside/models/${encodeURIComponent(model.name)}/weights`).then(setFigures, setError), []);
  return html`<div class="card inside-weights"><${Trouble} error=${error} />${figures.map((f) => html`<${Figure} of=${f} />`)}</div>`;
}
