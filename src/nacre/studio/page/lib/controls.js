// @ts-check
/** What a hand can change. Each has a label, works by keyboard, and tells its new value to `set`. */
import { html, useLayoutEffect, useRef, useState } from "./html.js";
import { short } from "./numbers.js";

let made = 0;
/** A name for a label to point at, the same as long as the control lives. */
const useId = () => useState(() => `control-${++made}`)[0];

/**
 * @param {{label: string, value: number, min: number, max: number, step?: number | "any", log?: boolean, set: (v: number) => void, note?: string, disabled?: boolean}} props
 * With `log` the slider moves by factors.
 */
export function Slider({ label, value, min, max, step = "any", log = false, set, note, disabled = false }) {
  const id = useId();
  const there = log ? Math.log10 : (/** @type {number} */ v) => v;
  const back = log ? (/** @type {number} */ v) => Number((10 ** v).toPrecision(3)) : (/** @type {number} */ v) => v;
  return html`<div class="control slider">
    <label for=${id}>${label}</label><output for=${id}>${short(value)}</output>
    <input id=${id} type="range" min=${there(min)} max=${there(max)} step=${log ? 0.01 : step} value=${there(value)} disabled=${disabled}
      aria-valuetext=${short(value)} onInput=${(/** @type {any} */ e) => set(back(Number(e.target.value)))} />
    ${note && html`<small>${note}</small>`}
  </div>`;
}

/** @param {{label: string, value: string | number, options: (string | number | {value: string | number, label: string})[], set: (v: any) => void, disabled?: boolean}} props */
export function Select({ label, value, options, set, disabled = false }) {
  const id = useId();
  const all = options.map((o) => (typeof o === "object" ? o : { value: o, label: String(o) }));
  return html`<div class="control">
    <label for=${id}>${label}</label>
    <select id=${id} value=${value} disabled=${disabled} onChange=${(/** @type {any} */ e) => set(all[e.target.selectedIndex]?.value)}>
      ${all.map((o) => html`<option value=${o.value} selected=${o.value === value}>${o.label}</option>`)}
    </select>
  </div>`;
}

/** A field for a number; it counts when it is left or Enter is pressed, and nobody else writes into it while it is typed.
 * @param {{value: number, min?: number, max?: number, step?: number | "any", set: (v: number) => void, disabled?: boolean, id?: string, label?: string}} props */
export function NumberInput({ value, min, max, step = "any", set, disabled = false, id, label }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const show = () => field.current && (field.current.value = String(value));
  useLayoutEffect(() => {
    if (field.current !== document.activeElement) show();
  }, [value]);
  /** @param {any} e */
  const changed = (e) => (e.target.validity.valid && e.target.value !== "" ? set(Number(e.target.value)) : show());
  return html`<input ref=${field} id=${id} aria-label=${label} type="number" min=${min} max=${max} step=${step} disabled=${disabled} onChange=${changed} onBlur=${show} />`;
}

/** @param {{label: string, value: number, min?: number, max?: number, step?: number | "any", set: (v: number) => void, disabled?: boolean}} props */
export function NumberField({ label, ...rest }) {
  const id = useId();
  return html`<div class="control"><label for=${id}>${label}</label><${NumberInput} id=${id} ...${rest} /></div>`;
}

/** @param {{label: string, value: boolean, set: (v: boolean) => void}} props */
export function Toggle({ label, value, set }) {
  const id = useId();
  return html`<div class="control toggle">
    <input id=${id} type="checkbox" checked=${value} onChange=${(/** @type {any} */ e) => set(e.target.checked)} /><label for=${id}>${label}</label>
  </div>`;
}

/** A button that keeps the focus while it cannot be pressed, so that nobody who uses the keyboard is thrown back to the top.
 * @param {{off: boolean, onClick: () => void, children?: any, class?: string}} props */
export function Press({ off, onClick, children, ...rest }) {
  return html`<button ...${rest} aria-disabled=${off ? "true" : undefined} onClick=${() => off || onClick()}>${children}</button>`;
}

/** What went wrong, said where it can be heard. @param {{error: any}} props */
export function Trouble({ error }) {
  return error ? html`<p class="trouble" role="alert"><strong>${error.message}</strong> ${error.hint && html`<span>Try: ${error.hint}</span>`}</p>` : null;
}
