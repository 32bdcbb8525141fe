// @ts-check
/** A pad to draw on, with a pointer or with arrow keys and the space bar; it tells the shades of a picture of rows x columns. */
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { theme } from "../../lib/theme.js";
import { shades } from "./shades.js";

const SIZE = 280;

/** @param {{rows: number, columns: number, drawn: (pixels: number[]) => void}} props */
export function Pad({ rows, columns, drawn }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const pen = useRef(/** @type {[number, number] | null} */ (null));
  const [cursor, setCursor] = useState(/** @type {[number, number] | null} */ (null));
  const width = SIZE;
  const height = Math.round((SIZE * rows) / columns);
  const thick = (SIZE / columns) * (columns >= 20 ? 2.2 : 1.2);

  const context = () => /** @type {CanvasRenderingContext2D} */ (canvas.current?.getContext("2d", { willReadFrequently: true }));
  const clear = () => {
    const c = context();
    c.fillStyle = "#000";
    c.fillRect(0, 0, width, height);
  };
  useEffect(clear, [rows, columns]);

  const tell = () => drawn(shades(context().getImageData(0, 0, width, height).data, width, height, rows, columns));
  /** @param {[number, number]} from @param {[number, number]} to */
  const line = (from, to) => {
    const c = context();
    c.strokeStyle = "#fff";
    c.lineCap = c.lineJoin = "round";
    c.lineWidth = thick;
    c.beginPath();
    c.moveTo(...from);
    c.lineTo(to[0] + 0.01, to[1]);
    c.stroke();
    tell();
  };
  /** @param {any} e @returns {[number, number]} */
  const at = (e) => {
    const box = e.currentTarget.getBoundingClientRect();
    return [((e.clientX - box.left) * width) / box.width, ((e.clientY - box.top) * height) / box.height];
  };
  /** @param {any} e */
  const down = (e) => {
    e.currentTarget.setPointerCapture(e.pointerId);
    pen.current = at(e);
    line(pen.current, pen.current);
  };
  /** @param {any} e */
  const move = (e) => {
    if (!pen.current) return;
    const to = at(e);
    line(pen.current, to);
    pen.current = to;
  };
  /** @type {Record<string, [number, number]>} */
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  /** @param {KeyboardEvent} e */
  const key = (e) => {
    const arrow = arrows[e.key];
    const now = cursor ?? /** @type {[number, number]} */ ([width / 2, height / 2]);
    if (!arrow && e.key !== " ") return;
    e.preventDefault();
    const step = SIZE / columns;
    /** @type {[number, number]} */
    const to = arrow ? [Math.min(width, Math.max(0, now[0] + arrow[0] * step)), Math.min(height, Math.max(0, now[1] + arrow[1] * step))] : now;
    if (e.key === " " || e.shiftKey) line(now, to);
    setCursor(to);
  };
  return html`<div class="pad">
    <div class="pad-ground">
      <canvas ref=${canvas} width=${width} height=${height} class=${theme.value === "dark" ? "" : "paper"} tabindex="0" role="application" onKeyDown=${key}
        aria-label="Drawing pad: draw with the pointer; by keyboard, arrows move, the space bar dots, shift and arrows draw"
        onPointerDown=${down} onPointerMove=${move} onPointerUp=${() => (pen.current = null)} onPointerCancel=${() => (pen.current = null)}></canvas>
      ${cursor && html`<span class="pad-cursor" style=${{ left: `${(100 * cursor[0]) / width}%`, top: `${(100 * cursor[1]) / height}%` }}></span>`}
    </div>
    <button onClick=${() => (clear(), tell())}>Clear</button>
  </div>`;
}
