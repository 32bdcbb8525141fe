// @ts-check
/** The network: units as small pictures of what they give, weights as lines, both drawn anew with each frame and nothing else. */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { css, diverging } from "../../lib/colors.js";
import { NumberInput, Press } from "../../lib/controls.js";
import { short } from "../../lib/numbers.js";
import { theme } from "../../lib/theme.js";
import { written } from "./data.js";
import { HEAD, fresh, layout, nearest, path } from "./layout.js";
import { floats, ink, signed } from "./pictures.js";
import { change, choices, chosen, pointed, settings, shown, watch } from "./store.js";

/** @typedef {import("./store.js").Layer} Layer */
/** @typedef {import("./store.js").Shown} Shown */

const LEVELS = 48;

/** Colors of lines from the strongest below 0 to the strongest above. @param {boolean} night */
const lineColors = (night) => Array.from({ length: 2 * LEVELS + 1 }, (_, k) => css(diverging(Math.sign(k - LEVELS) * (0.25 + (0.75 * Math.abs(k - LEVELS)) / LEVELS), night)));

export function NetworkPanel() {
  const now = shown.value;
  const set = settings.value;
  if (!now || !set || !choices.value) return null;
  const add = () => change({ hidden: [...set.hidden, { name: fresh(set.hidden), units: 4, activation: set.hidden.at(-1)?.activation ?? "tanh" }] });
  return html`<section class="card pg-network" aria-labelledby="pg-network">
    <div class="row pg-title"><h2 id="pg-network">Network</h2>
      <button id="pg-add" onClick=${add}>Add a layer</button></div>
    <${Graph} now=${now} hidden=${now.settings.hidden} />
    <${Looking} />
  </section>`;
}

/** @param {{now: Shown, hidden: Layer[]}} props */
function Graph({ now, hidden }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const lines = useRef(/** @type {SVGGElement | null} */ (null));
  const tip = useRef(/** @type {HTMLElement | null} */ (null));
  const kernels = useRef(/** @type {{values: Float32Array, width: number}[]} */ ([]));
  const [room, setRoom] = useState(520);
  const night = theme.value === "dark";
  const most = choices.value.shown;
  const inputs = now.side ? 1 : Math.min(most, now.inputs.length);
  const counts = [inputs, ...hidden.map((layer) => Math.min(most, layer.units)), Math.min(most, now.outputs)];
  const plan = useMemo(() => layout(counts, room, !now.side, now.table ? 80 : 0), [counts.join(), room, now.side, now.table]);

  useEffect(() => {
    const node = box.current;
    if (!node) return;
    const resized = new ResizeObserver(() => setRoom(node.clientWidth));
    resized.observe(node);
    return () => resized.disconnect();
  }, []);

  useLayoutEffect(() => {
    const root = box.current;
    if (!root) return;
    const colors = lineColors(night);
    const paths = /** @type {SVGPathElement[]} */ ([...(lines.current?.children ?? [])]);
    const canvases = plan.units.map((_, k) => /** @type {HTMLCanvasElement[]} */ ([...root.querySelectorAll(`canvas[data-layer="${k - 1}"]`)]));
    const drawn = new Int16Array(paths.length).fill(1000);
    now.input_pictures?.forEach((text, k) => canvases[0]?.[k] && signed(canvases[0][k], text, night));
    if (now.side && canvases[0]?.[0]) ink(canvases[0][0], now.samples?.pixels[0] ?? [], night);
    return watch((frame) => {
      if (frame.layers.length !== plan.units.length - 1) return;
      kernels.current = frame.layers.map((layer, k) => ({ values: floats(layer.kernel), width: plan.units[k + 1]?.length ?? 1 }));
      const tops = kernels.current.map(({ values }) => values.reduce((top, v) => Math.max(top, Math.abs(v)), 1e-6));
      plan.lines.forEach(({ layer, from, to }, k) => {
        const kernel = kernels.current[layer];
        if (!kernel) return;
        const level = Math.round((LEVELS * (kernel.values[from * kernel.width + to] ?? 0)) / (tops[layer] ?? 1)) || 0;
        const line = paths[k];
        if (level === drawn[k] || !line) return;
        drawn[k] = level;
        line.setAttribute("stroke", colors[level + LEVELS] ?? "");
        line.setAttribute("stroke-width", (0.6 + (5 * Math.abs(level)) / LEVELS).toFixed(1));
      });
      frame.layers.forEach((layer, k) => {
        const pictures = k === 0 && frame.first ? frame.first : layer.pictures;
        const places = canvases[k + 1] ?? [];
        pictures?.forEach((text, unit) => places[unit] && signed(places[unit], text, night));
      });
    });
  }, [plan, night, now]);

  /** @param {PointerEvent} e */
  const moved = (e) => {
    const note = tip.current;
    const area = lines.current?.ownerSVGElement?.getBoundingClientRect();
    if (!note || !area) return;
    const [x, y] = [e.clientX - area.left, e.clientY - area.top];
    const line = plan.lines[nearest(plan.lines, x, y)];
    const kernel = line && kernels.current[line.layer];
    note.hidden = !kernel;
    if (!line || !kernel) return;
    note.textContent = `${source(now, line.layer, line.from)} → unit ${line.to + 1}: ${short(kernel.values[line.from * kernel.width + line.to])}`;
    note.style.left = `${Math.min(x + 12, plan.width - 190)}px`;
    note.style.top = `${y + 14}px`;
  };
  /** @param {MouseEvent} e */
  const clicked = (e) => {
    const area = lines.current?.ownerSVGElement?.getBoundingClientRect();
    const line = area && plan.lines[nearest(plan.lines, e.clientX - area.left, e.clientY - area.top)];
    if (!line) return;
    chosen.value = { layer: line.layer, unit: line.to };
    requestAnimationFrame(() => requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector(`[data-weight="${line.from}"]`))?.focus()));
  };

  const names = ["Input", ...hidden.map((_, k) => `Hidden layer ${k + 1}`), "Output"];
  return html`<div class="pg-graph" ref=${box} tabindex="-1">
    <div class="pg-canvas" style=${{ width: `${plan.width}px`, height: `${plan.height}px` }} onPointerMove=${moved} onPointerLeave=${() => tip.current && (tip.current.hidden = true)} onClick=${clicked}>
      <svg width=${plan.width} height=${plan.height} aria-hidden="true"><g ref=${lines}>${plan.lines.map((line) => html`<path d=${path(line)} />`)}</g></svg>
      ${plan.columns.map((x, k) => html`<${Head} key=${k === 0 ? "in" : (hidden[k - 1]?.name ?? "out")} x=${x} wide=${Math.min(120, plan.apart)} name=${names[k]} layer=${k - 1} count=${k === 0 ? (now.side ? now.side ** 2 : now.inputs.length) : k > hidden.length ? now.outputs : undefined} />`)}
      ${plan.units.map((column, k) => column.map((at, unit) => html`<${Unit} key=${`${k}:${unit}`} at=${at} size=${k === 0 && now.side ? 64 : plan.size} layer=${k - 1} unit=${unit} name=${k === 0 ? source(now, 0, unit) : `${names[k]}, unit ${unit + 1}`} label=${k === 0 && !now.side ? written(now.inputs[unit] ?? "") : k > hidden.length && now.classes.length > 2 ? now.classes[unit] : ""} side=${now.side} />`))}
      <div class="pg-tip" ref=${tip} hidden></div>
    </div>
  </div>`;
}

/** @param {Shown} now @param {number} layer @param {number} unit */
function source(now, layer, unit) {
  if (layer > 0) return `unit ${unit + 1} of layer ${layer}`;
  return now.side ? "the picture" : written(now.inputs[unit] ?? "");
}

/** @param {{at: {x: number, y: number}, size: number, layer: number, unit: number, name: string, label?: string, side: number | null}} props */
function Unit({ at, size, layer, unit, name, label, side }) {
  const style = { left: `${at.x - size / 2}px`, top: `${at.y - size / 2}px`, width: `${size}px`, height: `${size}px` };
  const canvas = html`<canvas data-layer=${layer} width=${side ?? 32} height=${side ?? 32}></canvas>`;
  const said = label && html`<span class=${layer < 0 ? "pg-name" : "pg-name after"} aria-hidden="true" title=${label}>${label}</span>`;
  if (layer < 0) return html`<div class="pg-unit input" style=${style} role="img" aria-label=${name}>${canvas}${said}</div>`;
  const here = chosen.value?.layer === layer && chosen.value.unit === unit;
  const point = () => (pointed.value = { layer, unit });
  const away = () => (pointed.value = null);
  return html`<button class=${`pg-unit ${here ? "chosen" : ""}`} style=${style} aria-label=${name} aria-pressed=${here}
    onClick=${(/** @type {Event} */ e) => (e.stopPropagation(), (chosen.value = here ? null : { layer, unit }))} onPointerEnter=${point} onPointerLeave=${away} onFocus=${point} onBlur=${away}>${canvas}${said}</button>`;
}

/** What can be changed of a layer, above it. @param {{x: number, wide: number, name: string, layer: number, count?: number}} props */
function Head({ x, wide, name, layer, count }) {
  const set = settings.value;
  const style = { left: `${x - wide / 2}px`, width: `${wide}px`, height: `${HEAD}px` };
  const mine = set?.hidden[layer];
  if (count !== undefined || !set || !mine) return html`<div class="pg-head" style=${style}><strong>${name}</strong><small>${count === 1 ? "1 unit" : `${count?.toLocaleString("en-US")} units`}</small>${count !== undefined && count > choices.value.shown && (layer >= 0 || !shown.value?.side) && html`<small>${choices.value.shown} shown</small>`}</div>`;
  /** @param {Partial<Layer>} patch */
  const put = (patch) => change({ hidden: set.hidden.map((one, k) => (k === layer ? { ...one, ...patch } : one)) });
  const drop = () => (document.getElementById("pg-add")?.focus({ preventScroll: true }), change({ hidden: set.hidden.filter((_, k) => k !== layer) }));
  const most = choices.value.shown;
  return html`<div class="pg-head" style=${style} onClick=${(/** @type {Event} */ e) => e.stopPropagation()}>
    <span><strong>Layer ${layer + 1}</strong><button class="quiet" aria-label=${`Remove ${name.toLowerCase()}`} title="Remove this layer" onClick=${drop}>×</button></span>
    <span class="pg-units"><${Press} aria-label=${`One unit less in ${name?.toLowerCase()}`} off=${mine.units === 1} onClick=${() => put({ units: mine.units - 1 })}>−<//>
      <${NumberInput} label=${`Units of ${name.toLowerCase()}`} value=${mine.units} min=${1} step=${1} set=${(/** @type {number} */ units) => put({ units })} />
      <button aria-label=${`One unit more in ${name.toLowerCase()}`} onClick=${() => put({ units: mine.units + 1 })}>+</button></span>
    <select aria-label=${`Activation of ${name.toLowerCase()}`} value=${mine.activation} onChange=${(/** @type {any} */ e) => put({ activation: e.target.value })}>
      ${choices.value.activations.map((/** @type {string} */ a) => html`<option value=${a} selected=${a === mine.activation}>${a}</option>`)}</select>
    ${mine.units > most && html`<small>${most} of ${mine.units.toLocaleString("en-US")} shown</small>`}
  </div>`;
}

/** The weights of the chosen unit as numbers, which can be typed over. */
function Looking() {
  const now = shown.value;
  const at = chosen.value;
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const hidden = now?.settings.hidden ?? [];
  const width = at ? Math.min(choices.value.shown, hidden[at.layer]?.units ?? now?.outputs ?? 1) : 1;
  const gone = !at || !now || at.layer > hidden.length || at.unit >= width;
  const pixels = at?.layer === 0 && !!now?.side;
  useLayoutEffect(() => {
    if (gone || !at) return;
    return watch((frame) => {
      const layer = frame.layers[at.layer];
      if (!layer) return;
      const [kernel, bias] = [floats(layer.kernel), floats(layer.bias)];
      place.current?.querySelectorAll("input").forEach((field) => {
        const row = field.dataset.weight;
        const value = row === "bias" ? bias[at.unit] : kernel[Number(row) * width + at.unit];
        if (field !== document.activeElement && value !== undefined) field.value = value.toPrecision(4);
      });
    });
  }, [at, now, gone, width]);
  if (gone || !at || !now) return html`<p class="soft pg-note">Blue lines are weights above 0, orange ones below; the thicker, the larger. Choose a unit or a line to see and change its numbers.${now?.side ? " The first layer shows its weights, those behind it what they give for the picture on the left." : ""}</p>`;
  const name = hidden[at.layer]?.name ?? "output";
  const count = Math.min(choices.value.shown, at.layer ? (hidden[at.layer - 1]?.units ?? 0) : now.inputs.length);
  /** @param {any} e @param {number | null} row */
  const set = (e, row) => {
    const value = Number(e.target.value);
    if (e.target.value === "" || !Number.isFinite(value)) return;
    change({ weight: { layer: name, weight: row === null ? "bias" : "kernel", place: row === null ? [at.unit] : [row, at.unit], value } });
  };
  return html`<div class="pg-looking" ref=${place} role="group" aria-label="Weights of the chosen unit">
    <div class="row"><h3>${name === "output" ? "Output" : `Hidden layer ${at.layer + 1}`}, unit ${at.unit + 1}</h3><button class="quiet" onClick=${() => (chosen.value = null)}>Close</button></div>
    <div class="pg-weights">
      ${pixels ? html`<p class="soft">One weight for each pixel: the picture of the unit shows them.</p>` : Array.from({ length: count }, (_, row) => html`<label>${source(now, at.layer, row)}<input type="number" step="any" data-weight=${row} onChange=${(/** @type {any} */ e) => set(e, row)} /></label>`)}
      <label>bias<input type="number" step="any" data-weight="bias" onChange=${(/** @type {any} */ e) => set(e, null)} /></label>
    </div>
  </div>`;
}
