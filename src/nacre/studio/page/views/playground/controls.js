// @ts-check
/** What makes it go, and how it learns. */
import { html, useLayoutEffect, useRef } from "../../lib/html.js";
import { NumberField, Select, Slider } from "../../lib/controls.js";
import { percent, short } from "../../lib/numbers.js";
import { again, ahead, change, choices, play, playing, reopen, settings, shown, speed, step, watch } from "./store.js";

const SPEEDS = [
  { value: 2, label: "2 steps/s" },
  { value: 10, label: "10 steps/s" },
  { value: 30, label: "30 steps/s" },
  { value: 100, label: "100 steps/s" },
  { value: 500, label: "500 steps/s" },
  { value: 0, label: "full speed" },
];

/** @param {{share: () => void}} props */
export function Bar({ share }) {
  const now = shown.value;
  const go = playing.value;
  return html`<div class="card pg-bar">
    <div class="row" role="group" aria-label="Training">
      <button class="main pg-play" onClick=${() => play({ on: !go })}><span aria-hidden="true">${go ? "❚❚" : "▶"}</span> ${go ? "Pause" : "Play"}</button>
      <button onClick=${() => step({ batches: 1 })} title="One batch">Step</button>
      <button onClick=${() => step({ epoch: true })} title="To the end of this epoch">Epoch</button>
      <button onClick=${again} title="The same network with fresh weights">Begin again</button>
      <${Select} label="Speed" value=${speed.value} options=${SPEEDS} set=${(/** @type {number} */ v) => play({ speed: v })} />
      <button onClick=${share}>Share</button>
    </div>
    <${Figures} score=${now && !now.classes.length ? "mean error" : "accuracy"} accuracy=${!!now?.classes.length} />
    <span class="pg-hidden" role="status">${ahead.value ? "Repeating what was done" : go ? "Training" : "Paused"}</span>
  </div>`;
}

/** Numbers of the newest frame. @param {{score: string, accuracy: boolean}} props */
function Figures({ score, accuracy }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(
    () =>
      watch((frame) => {
        const said = accuracy ? percent : short;
        const texts = [frame.epoch.toLocaleString("en-US"), frame.step.toLocaleString("en-US"), short(frame.loss[0]), short(frame.loss[1]), said(frame.score[0] ?? NaN), said(frame.score[1] ?? NaN)];
        place.current?.querySelectorAll("dd").forEach((node, k) => node.firstChild?.nodeValue !== texts[k] && (node.textContent = texts[k] ?? ""));
      }),
    [accuracy],
  );
  const names = ["epoch", "step", "training loss", "test loss", `training ${score}`, `test ${score}`];
  return html`<dl class="pg-figures" ref=${place}>${names.map((name) => html`<div><dt>${name}</dt><dd></dd></div>`)}</dl>`;
}

export function Learning() {
  const now = shown.value;
  const set = settings.value;
  if (!now || !set || !choices.value) return null;
  const kinds = new Set(set.hidden.map((layer) => layer.activation));
  const common = kinds.size === 1 ? [...kinds][0] : "";
  return html`<section class="card pg-learning" aria-labelledby="pg-learning">
    <h2 id="pg-learning">Learning</h2>
    <div class="pg-knobs">
      <${Select} label="Optimizer" value=${set.optimizer} options=${choices.value.optimizers} set=${(/** @type {string} */ optimizer) => change({ optimizer })} />
      <${Slider} label="Learning rate" value=${set.learning_rate} min=${0.0001} max=${10} log=${true} set=${(/** @type {number} */ learning_rate) => change({ learning_rate })} />
      <${NumberField} label="Batch size" value=${set.batch_size} min=${1} step=${1} set=${(/** @type {number} */ batch_size) => change({ batch_size })} />
      <${NumberField} label="L1 penalty" value=${set.l1} min=${0} set=${(/** @type {number} */ l1) => change({ l1 })} />
      <${NumberField} label="L2 penalty" value=${set.l2} min=${0} set=${(/** @type {number} */ l2) => change({ l2 })} />
      <${Slider} label="Dropout" value=${set.dropout} min=${0} max=${0.9} step=${0.05} set=${(/** @type {number} */ dropout) => change({ dropout })} />
      <${Select} label="Activation of all" value=${common} options=${[...(common ? [] : [{ value: "", label: kinds.size ? "mixed" : "–" }]), ...choices.value.activations]} disabled=${!kinds.size}
        set=${(/** @type {string} */ activation) => activation && change({ hidden: set.hidden.map((layer) => ({ ...layer, activation })) })} />
      <${Select} label="Initial weights" value=${now.initializer} options=${choices.value.initializers} set=${(/** @type {string} */ initializer) => reopen({ initializer })} />
    </div>
    <p class="soft pg-note">All but the initial weights can be changed while it runs. A new layer, unit, activation, penalty, dropout or optimizer keeps the weights that still fit; the optimizer then begins anew.</p>
  </section>`;
}
