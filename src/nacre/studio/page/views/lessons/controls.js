// @ts-check
/** The controls of a lesson, by their kind. The kinds are made in studio/lessons/lesson.py. */
import { NumberField, Select, Slider, Toggle } from "../../lib/controls.js";
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { next } from "./values.js";

/** @typedef {import("./values.js").Control} Control */

const FRAME = 90; // milliseconds at least, from one picture to the next

/** A slider with a button that moves it; it waits for each picture. People who want less motion are taken to the end at once.
 * @param {{control: Control, value: number, set: (v: any) => void, busy: boolean}} props */
function Played({ control, value, set, busy }) {
  const [playing, play] = useState(false);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const { low = 0, high = 1, step = 1 } = control;
  useEffect(() => {
    if (!playing || busy) return;
    const to = next(control, value);
    if (to === null) {
      play(false);
      return;
    }
    const timer = setTimeout(() => set(to), FRAME);
    return () => clearTimeout(timer);
  }, [playing, busy, value]);
  const pressed = () => {
    if (calm) set(value >= high ? low : high);
    else {
      if (!playing && value >= high) set(low);
      play(!playing);
    }
  };
  const name = calm ? (value >= high ? "To the start" : "To the end") : playing ? "Pause" : "Play";
  return html`<div class="played">
    <${Slider} label=${control.label} value=${value} min=${low} max=${high} step=${step} set=${(/** @type {number} */ v) => (play(false), set(v))} />
    <button class="play" onClick=${pressed} aria-label=${`${name}: ${control.label}`} title=${name}>${playing ? "❚❚" : value >= high ? "↺" : "▶"}</button>
  </div>`;
}

/** A formula; it counts when it is left, Enter is pressed, or an example is chosen. @param {{control: Control, value: string, set: (v: string) => void}} props */
function Typed({ control, value, set }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    if (field.current && document.activeElement !== field.current) field.current.value = value;
  }, [value]);
  const id = `typed-${control.name}`;
  return html`<div class="control typed">
    <label for=${id}>${control.label} =</label>
    <input id=${id} ref=${field} type="text" value=${value} maxlength=${control.most ?? 80} spellcheck=${false} autocomplete="off"
      onChange=${(/** @type {any} */ e) => set(e.target.value)} />
    <div class="examples" role="group" aria-label="Examples">
      ${(control.examples ?? []).map((one) => html`<button class="quiet" aria-pressed=${one === value} onClick=${() => set(one)}>${one}</button>`)}
    </div>
  </div>`;
}

/** @param {{control: Control, value: any, set: (v: any) => void, busy: boolean}} props */
export function Part({ control, value, set, busy }) {
  const { kind, label, low = 0, high = 1, step = "any", log = false, options = [] } = control;
  if (kind === "slider" && control.play) return html`<${Played} control=${control} value=${value} set=${set} busy=${busy} />`;
  if (kind === "slider") return html`<${Slider} label=${label} value=${value} min=${low} max=${high} step=${step} log=${log} set=${set} />`;
  if (kind === "number") return html`<${NumberField} label=${label} value=${value} min=${low} max=${high} step=${1} set=${set} />`;
  if (kind === "choice") return html`<${Select} label=${label} value=${value} options=${options} set=${set} />`;
  if (kind === "toggle") return html`<${Toggle} label=${label} value=${value} set=${set} />`;
  if (kind === "text") return html`<${Typed} control=${control} value=${value} set=${set} />`;
  return html`<button class="again" onClick=${() => set((value + 1) % 1000)}>${label}</button>`;
}
