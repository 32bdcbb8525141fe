// @ts-check
/** Which row of the data: by number, or the next of a class. */
import { html } from "../../lib/html.js";
import { NumberField, Select } from "../../lib/controls.js";

/** @param {{model: import("../inside.js").Model, row: number, set: (row: number) => void}} props */
export function RowChooser({ model, row, set }) {
  const labels = model.labels;
  /** @param {string} label */
  const next = (label) => {
    if (!labels) return;
    const after = labels.indexOf(label, row + 1);
    set(after >= 0 ? after : labels.indexOf(label));
  };
  const there = labels ? (model.classes ?? []).filter((c) => labels.includes(c)) : [];
  return html`<div class="row">
    <${NumberField} label=${`Row of the ${model.part} part, 0 to ${model.rows - 1}`} value=${row} min=${0} max=${model.rows - 1} step=${1} set=${set} />
    <button onClick=${() => set((row + 1) % model.rows)}>Next row</button>
    ${there.length > 0 && html`<${Select} label="Next of class" value="" options=${[{ value: "", label: "any" }, ...there]} set=${(/** @type {string} */ v) => v && next(v)} />`}
  </div>`;
}
