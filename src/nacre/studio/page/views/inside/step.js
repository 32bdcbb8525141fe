// @ts-check
/** One step of training as four buttons: forward, loss, backward, update. The fourth changes the weights (of a copy in memory). */
import { html, useEffect, useState } from "../../lib/html.js";
import { get, post } from "../../lib/api.js";
import { Press, Trouble } from "../../lib/controls.js";
import { Figure } from "../../lib/figures/figure.js";
import { RowChooser } from "./rows.js";

const PHASES = /** @type {const} */ (["forward", "loss", "backward", "update"]);
const SAID = {
  forward: "The row goes through the network: each unit sums what comes in, times its weights, and answers with its activation.",
  loss: "What the network gave is compared with what is true. The loss is one number: how wrong it was.",
  backward: "The error goes back, layer by layer, times weights and slopes: how the loss changes with each sum z, and so with each weight.",
  update: "Each weight moves a little against its gradient, so that this row’s loss falls.",
};

/** @param {{model: import("../inside.js").Model}} props */
export function Step({ model }) {
  const [row, setRow] = useState(0);
  const [step, setStep] = useState(/** @type {any} */ (null));
  const [phase, setPhase] = useState(/** @type {typeof PHASES[number]} */ ("forward"));
  const [losses, setLosses] = useState(/** @type {{before: number, after: number} | null} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const path = `inside/models/${encodeURIComponent(model.name)}`;

  const load = (/** @type {number} */ n) => get(`${path}/step/${n}`).then((s) => (setStep(s), setError(null)), setError);
  useEffect(() => void load(row), [row]);

  /** @param {typeof PHASES[number]} to */
  const go = async (to) => {
    try {
      if (to === "forward") await load(row);
      if (to !== "update") setLosses(null);
      else if (phase !== "update") setLosses(await post(`${path}/update`, { row }));
      setPhase(to);
    } catch (e) {
      setError(e);
    }
  };
  const again = () => post(`${path}/update`, { row: null }).then(() => (setPhase("forward"), setLosses(null), load(row)), setError);
  const at = PHASES.indexOf(phase);
  const steps = (step?.steps ?? 0) + (losses ? 1 : 0);

  return html`
    <${Trouble} error=${error} />
    <div class="card">
      <${RowChooser} model=${model} row=${row} set=${(/** @type {number} */ n) => (setPhase("forward"), setLosses(null), setRow(n))} />
      <div class="row level phases" role="group" aria-label="The four parts of a step">
        ${PHASES.map((p, k) => html`<${Press} class=${p === phase ? "main" : ""} aria-pressed=${p === phase} off=${!step || k > at + 1} onClick=${() => go(p)}>${k + 1}. ${p[0]?.toUpperCase()}${p.slice(1)}<//>`)}
        <${Press} onClick=${() => go("forward")} off=${phase !== "update"}>Next step<//>
        <${Press} class="quiet" onClick=${again} off=${!steps}>Begin again<//>
        <span class="soft" aria-live="polite">${steps ? `${steps} ${steps === 1 ? "step" : "steps"} taken here` : "weights as in the file"}</span>
      </div>
      <p>${SAID[phase]}</p>
      ${losses && phase === "update" && html`<p class="verdict">The loss of this row ${losses.after < losses.before ? "fell" : "rose"} from ${losses.before.toPrecision(4)} to ${losses.after.toPrecision(4)}.</p>`}
      ${step?.notes.map((/** @type {string} */ n) => html`<p class="soft">${n}</p>`)}
    </div>
    <div class="card inside-phase">${step?.[phase].map((/** @type {any} */ f) => html`<${Figure} of=${f} />`)}</div>`;
}
