// @ts-check
/** What comes of it: the plane with its points, or pictures with what is said of them, and the losses so far. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../../lib/html.js";
import { Toggle } from "../../lib/controls.js";
import { classColor, css, diverging, inkOn } from "../../lib/colors.js";
import { Curves } from "../../lib/figures/curves.js";
import { percent, short } from "../../lib/numbers.js";
import { theme } from "../../lib/theme.js";
import { classes, ink, signed } from "./pictures.js";
import { curve, pointed, shown, watch } from "./store.js";

export function OutputPanel() {
  const now = shown.value;
  if (!now) return null;
  return html`<section class="card pg-output" aria-labelledby="pg-output">
    <h2 id="pg-output">Output</h2>
    ${now.side ? html`<${Samples} />` : html`<${Plane} />`}
    <${Losses} />
  </section>`;
}

function Plane() {
  const now = shown.value;
  const field = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const dots = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [smooth, setSmooth] = useState(true);
  const [tests, setTests] = useState(false);
  const night = theme.value === "dark";
  const seen = pointed.value;
  const units = seen && [...(now?.settings.hidden ?? []).map((layer) => layer.units), now?.outputs ?? 0][seen.layer];
  const at = seen && units && seen.unit < units ? seen : null;  // it may be gone by now

  useLayoutEffect(
    () =>
      watch((frame) => {
        const canvas = field.current;
        if (!canvas) return;
        const picture = at && frame.layers[at.layer]?.pictures?.[at.unit];
        if (picture) signed(canvas, picture, night);
        else if (frame.plane) signed(canvas, frame.plane, night);
        else if (frame.winner) classes(canvas, frame.winner, frame.sure, night);
      }),
    [night, at, now],
  );
  useLayoutEffect(() => {
    const context = dots.current?.getContext("2d");
    if (!context || !now?.axes) return;
    const [across, up] = now.axes;
    const side = context.canvas.width;
    context.clearRect(0, 0, side, side);
    const most = Math.max(1e-9, ...(now.training_points ?? []).map((p) => Math.abs(p[2] ?? 0)));
    for (const [points, open] of /** @type {[number[][], boolean][]} */ ([[now.training_points ?? [], false], [tests ? (now.test_points ?? []) : [], true]]))
      for (const [x = 0, y = 0, value = 0] of points) {
        const color = now.classes.length ? classColor(value) : css(diverging(value / most, night));
        context.beginPath();
        context.arc((side * (x - across.low)) / (across.high - across.low), side * (1 - (y - up.low) / (up.high - up.low)), open ? 6 : 6.5, 0, 7);
        context.lineWidth = open ? 3.5 : now.classes.length || night ? 2 : 1.2;
        context.fillStyle = open ? (night ? "#0008" : "#fff8") : color;
        context.strokeStyle = open ? color : night ? "#14171b" : now.classes.length ? "#fff" : "#333";
        context.fill();
        context.stroke();
      }
  }, [now, tests, night]);
  if (!now?.axes) return null;
  const [across, up] = now.axes;
  const whose = at?.layer === now.settings.hidden.length ? "the output" : `layer ${(at?.layer ?? 0) + 1}`;
  const what = at ? `What unit ${at.unit + 1} of ${whose} gives over the plane` : "What the network says over the plane";
  return html`<p class="pg-what">${what}</p>
    <div class="pg-plane">
      <span class="pg-up" aria-hidden="true"><b>${short(up.ends[1])}</b><i>${up.label}</i><b>${short(up.ends[0])}</b></span>
      <div class="pg-field"><canvas ref=${field} class=${smooth ? "smooth" : ""} width="64" height="64" role="img" aria-label=${what}></canvas>
        <canvas ref=${dots} class="pg-dots" width="640" height="640" aria-hidden="true"></canvas></div>
      <span class="pg-across" aria-hidden="true"><b>${short(across.ends[0])}</b><i>${across.label}</i><b>${short(across.ends[1])}</b></span>
    </div>
    <${Key} />
    <div class="row"><${Toggle} label="Smooth" value=${smooth} set=${setSmooth} /><${Toggle} label="Test points" value=${tests} set=${setTests} /></div>`;
}

/** Which color means what. */
function Key() {
  const now = shown.value;
  if (!now) return null;
  if (!now.classes.length) return html`<div class="pg-key"><span>below 0</span><span class="pg-ramp"></span><span>above 0</span></div>`;
  return html`<div class="pg-key">${now.classes.slice(0, 10).map((name, k) => html`<span><i style=${{ background: classColor(k) }}></i>${now.data.source === "table" ? name : `class ${name}`}</span>`)}</div>`;
}

function Samples() {
  const now = shown.value;
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const night = theme.value === "dark";
  useLayoutEffect(() => {
    place.current?.querySelectorAll("canvas").forEach((canvas, k) => ink(canvas, now?.samples?.pixels[k] ?? [], night));
    return watch((frame) => {
      const root = place.current;
      if (!root || !frame.said) return;
      root.querySelectorAll(".pg-said").forEach((node, k) => {
        const right = frame.said?.[k] === now?.samples?.labels[k];
        node.textContent = `${frame.said?.[k]} ${right ? "✓" : "✗"}`;
        node.className = `pg-said ${right ? "right" : "wrong"}`;
        node.setAttribute("title", `probability ${percent(frame.sure[k])}`);
      });
      const most = Math.max(1, ...(frame.confusion ?? []).flat());
      root.querySelectorAll("td").forEach((cell, k) => {
        const n = now?.classes.length ?? 1;
        const [row, column] = [Math.floor(k / n), k % n];
        const count = frame.confusion?.[row]?.[column] ?? 0;
        cell.textContent = count ? String(count) : "";
        const color = diverging(((row === column ? 1 : -1) * (0.15 + 0.85 * count)) / most, night);
        cell.style.background = count ? css(color) : "";
        cell.style.color = count ? inkOn(color) : "";
      });
    });
  }, [now, night]);
  if (!now?.samples) return null;
  return html`<div ref=${place}>
    <h3>Test rows, and what the network says</h3>
    <div class="pg-samples">${now.samples.labels.map((label) => html`<figure class="heat"><canvas width="8" height="8" role="img" aria-label=${`a picture of the class ${label}`}></canvas><figcaption class="pg-said"></figcaption></figure>`)}</div>
    <h3>Confusion matrix</h3>
    <table class="pg-confusion"><thead><tr><th scope="col"><span class="soft">true / said</span></th>${now.classes.map((c) => html`<th scope="col">${c}</th>`)}</tr></thead>
      <tbody>${now.classes.map((c) => html`<tr><th scope="row">${c}</th>${now.classes.map(() => html`<td></td>`)}</tr>`)}</tbody></table>
  </div>`;
}

/** The losses, drawn some ten times a second. */
function Losses() {
  const [, turn] = useState(0);
  const [log, setLog] = useState(false);
  const drawn = useRef(0);
  useEffect(() => {
    let timer = 0;
    const stop = watch(() => {
      if (timer) return;
      timer = setTimeout(() => {
        timer = 0;
        drawn.current++;
        turn(drawn.current);
      }, 120);
    });
    return () => (clearTimeout(timer), stop());
  }, []);
  const lines = [
    { label: "training", values: curve.map((p) => p[1]) },
    { label: "test", values: curve.map((p) => p[2]) },
  ];
  return html`<${Curves} title="Loss" x=${{ label: "step", values: curve.map((p) => p[0]) }} y=${{ log }} lines=${lines} height=${170} />
    <${Toggle} label="Loss on a logarithmic scale" value=${log} set=${setLog} />`;
}
