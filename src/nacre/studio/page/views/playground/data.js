// @ts-check
/** Where the rows come from. */
import { html, useState } from "../../lib/html.js";
import { NumberField, Select, Slider } from "../../lib/controls.js";
import { change, choices, reopen, settings, shown, table, take } from "./store.js";

/** @type {Record<string, string>} */
const NAMES = { circles: "Circles", xor: "XOR", spiral: "Spiral", gaussians: "Gaussians", plane: "Plane", function: "Function", digits: "Digits", mnist: "MNIST", table: "Table" };
const FORMULA = "x*y > 0";

export function DataPanel() {
  const now = shown.value;
  const set = settings.value;
  const [wanted, want] = useState(/** @type {string | null} */ (null));
  if (!now || !set || !choices.value) return null;
  const source = wanted ?? now.data.source;
  /** @param {string} name */
  const choose = (name) => {
    want(name === "table" ? name : null);
    if (name === "table") return;
    const pictures = name === "digits" || name === "mnist";
    // Networks for points are too narrow for pictures, and what suits one suits the other badly.
    const hidden = pictures && set.hidden.every((layer) => layer.units < 10) ? [{ name: "hidden_1", units: 16, activation: "relu" }] : set.hidden;
    const rows = name === "digits" ? 1797 : name === "mnist" ? 10000 : Math.min(now.data.rows, 1000);
    reopen({ data: { source: name, rows, formula: now.data.formula || (name === "function" ? FORMULA : "") }, settings: { ...set, hidden } });
  };
  const free = now.data.source !== "table" && now.side === null;
  return html`<section class="card pg-data" aria-labelledby="pg-data">
    <h2 id="pg-data">Data</h2>
    <div class="pg-sources" role="group" aria-label="Where the rows come from">
      ${choices.value.sources.map((/** @type {string} */ name) => html`<button aria-pressed=${name === source} title=${choices.value.missing[name]} onClick=${() => choose(name)}>${choices.value.missing[name] ? "Get " : ""}${NAMES[name]}</button>`)}
    </div>
    ${source === "function" && html`<${Formula} formula=${now.data.formula} />`}
    ${source === "table" && html`<${TableOf} />`}
    <${Slider} label="Rows" value=${now.data.rows} min=${20} max=${Math.max(2000, now.side ? 10000 : 0, now.data.rows)} log=${true} set=${(/** @type {number} */ v) => later("rows", () => reopen({ data: { rows: Math.round(v) } }))} />
    <${Slider} label="Noise" value=${set.noise} min=${0} max=${1} step=${0.01} set=${(/** @type {number} */ noise) => change({ noise })} />
    <${Slider} label="Share of test rows" value=${now.data.test} min=${0.05} max=${0.9} step=${0.05} set=${(/** @type {number} */ test) => later("test", () => reopen({ data: { test } }))} />
    <${NumberField} label="Seed" value=${now.seed} min=${0} max=${4294967295} step=${1} set=${(/** @type {number} */ seed) => reopen({ seed })} />
    ${free && html`<fieldset class="pg-inputs"><legend>What the network is given</legend>
      ${choices.value.inputs.map((/** @type {string} */ name) => {
        const there = set.inputs.includes(name);
        const others = choices.value.inputs.filter((/** @type {string} */ n) => (n === name ? !there : set.inputs.includes(n)));
        return html`<label><input type="checkbox" checked=${there} disabled=${there && set.inputs.length === 1} onChange=${() => change({ inputs: others })} />${written(name)}</label>`;
      })}</fieldset>`}
    <p class="soft pg-note">${now.training.toLocaleString("en-US")} rows to train on, ${now.test.toLocaleString("en-US")} to test on.${Math.max(now.training, now.test) > now.judged ? ` Loss and accuracy are those of the first ${now.judged.toLocaleString("en-US")} of each.` : ""}</p>
  </section>`;
}

/** @param {string} name */
export const written = (name) => name.replace("^2", "²").replace(/^(sin) /, "$1 ");

/** @type {Record<string, number>} */
const TIMERS = {};
/** A slider that moves asks once, when it rests. @param {string} what @param {() => void} act */
function later(what, act) {
  clearTimeout(TIMERS[what]);
  TIMERS[what] = setTimeout(act, 150);
}

/** @param {{formula: string}} props */
function Formula({ formula }) {
  return html`<div class="control"><label for="pg-formula">Function of x and y</label>
    <input id="pg-formula" type="text" value=${formula || FORMULA} spellcheck=${false} autocomplete="off" aria-describedby="pg-formula-help"
      onChange=${(/** @type {any} */ e) => reopen({ data: { source: "function", formula: e.target.value } })} />
    <small id="pg-formula-help"><code>x*y > 0</code> makes classes, <code>sin(x) + y/2</code> numbers.</small></div>`;
}

/** A table of one's own: dropped, chosen or pasted; then what is predicted, and which columns are the plane. */
function TableOf() {
  const now = shown.value;
  const [across = "", up = ""] = now?.axes?.map((axis) => axis.label) ?? [];
  return html`<div class="pg-table">
    <label class="pg-file">Drop a CSV file here, or choose one
      <input type="file" accept=".csv,.tsv,.txt,text/csv" onChange=${(/** @type {any} */ e) => take(e.target.files[0])} /></label>
    <details><summary>or paste its text</summary>
      <textarea aria-label="Text of a table" rows="5" spellcheck=${false} placeholder="height,weight,kind" onChange=${(/** @type {any} */ e) => e.target.value.trim() && table(e.target.value)}></textarea></details>
    ${now?.table && html`
      <${Select} label="Predict" value=${now.data.target} options=${now.table.columns} set=${(/** @type {string} */ target) => reopen({ data: { target, axes: [] } })} />
      <${Select} label="Across" value=${across} options=${now.table.numbers} set=${(/** @type {string} */ name) => reopen({ data: { axes: [name, name === up ? across : up] } })} />
      <${Select} label="Upward" value=${up} options=${now.table.numbers} set=${(/** @type {string} */ name) => reopen({ data: { axes: [name === across ? up : across, name] } })} />
      <p class="soft pg-note">The plane has two columns; all others are at their mean.</p>`}
  </div>`;
}
