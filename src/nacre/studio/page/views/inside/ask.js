// @ts-check
/** Draw a picture, or choose a row, and see what the network says, which units voted for it, and every activation. */
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { get, post } from "../../lib/api.js";
import { Trouble } from "../../lib/controls.js";
import { Figure } from "../../lib/figures/figure.js";
import { latest } from "../../lib/latest.js";
import { Pad } from "./pad.js";
import { RowChooser } from "./rows.js";

/** @param {{model: import("../inside.js").Model}} props */
export function Ask({ model }) {
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const [sample, setSample] = useState(/** @type {any} */ (null));
  const [row, setRow] = useState(0);
  const [error, setError] = useState(/** @type {any} */ (null));
  const path = `inside/models/${encodeURIComponent(model.name)}`;
  const asking = useRef(latest((/** @type {any} */ body) => post(`${path}/answer`, body).then((a) => (setAnswer(a), setError(null)), setError)));

  const choose = (/** @type {number} */ n) => {
    setRow(n);
    asking.current({ row: n });
    get(`${path}/rows/${n}`).then(setSample, setError);
  };
  useEffect(() => choose(0), []);

  return html`
    <${Trouble} error=${error} />
    <div class="columns inside-ask">
      <section class="card">
        ${model.picture && html`<h2>Draw ${model.classes?.length === 10 ? "a digit" : "a picture"}</h2>
          <div class="row"><${Pad} rows=${model.picture[0]} columns=${model.picture[1]} drawn=${(/** @type {number[]} */ pixels) => (setSample(null), asking.current({ pixels }))} />
          ${answer?.input && !sample && html`<${Figure} of=${{ ...answer.input, size: 96, title: "what the network sees" }} />`}</div>`}
        <h2>${model.picture ? "or take one of the data" : "A row of the data"}</h2>
        <${RowChooser} model=${model} row=${row} set=${choose} />
        ${sample && html`<${Figure} of=${{ size: 128, ...sample.figure }} /><p>This is <strong>${sample.label}</strong>.</p>`}
      </section>
      <section class="card">
        <h2>It says</h2>
        ${answer && html`<p class="said" aria-live="polite"><strong>${answer.said}</strong></p><${Figure} of=${answer.outputs} />`}
      </section>
      <section class="card">
        <h2>Who voted</h2>
        ${answer?.votes.map((/** @type {any} */ f) => html`<${Figure} of=${f} />`)}
        ${answer && !answer.votes.length && html`<p class="soft">The last layer is no dense one: there are no votes.</p>`}
      </section>
      <section class="card">
        <h2>Every activation</h2>
        <p class="soft">Blue is above 0, orange below.</p>
        ${answer?.layers.map((/** @type {any} */ f) => html`<${Figure} of=${f} />`)}
      </section>
    </div>`;
}
