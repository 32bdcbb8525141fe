// @ts-check
/** A matrix as a picture: blue above 0, orange below, or shades from 0 to 1; points and a path may lie on it. */
import { html, useLayoutEffect, useRef } from "../html.js";
import { classColor, css, diverging, shade } from "../colors.js";
import { theme } from "../theme.js";

/**
 * @typedef {{x: number, y: number, group?: number, open?: boolean}} Point
 * @typedef {{label: string, rows: number, columns: number, values: ArrayLike<number>, low?: number, high?: number, colors?: "diverging" | "shade",
 *   x?: [number, number], y?: [number, number], points?: Point[], path?: [number, number][], arrows?: [number, number, number, number][], size?: number | string, title?: string, smooth?: boolean}} HeatProps
 */

/**
 * Values lie row by row from the top; where `y` is given it grows upward, and the first row is its upper end.
 * `low` and `high` are what gets the strongest colors (`diverging`: the larger of both sizes, about 0).
 * @param {HeatProps} props
 */
export function Heat({ label, rows, columns, values, low, high, colors = "diverging", x = [0, 1], y = [0, 1], points = [], path = [], arrows = [], size = 64, title, smooth = false }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const scale = points.length || path.length || arrows.length ? Math.max(1, Math.round(560 / Math.max(rows, columns))) : 1;
  const night = theme.value === "dark";

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context) paint(context, { rows, columns, values, low, high, colors, x, y, points, path, arrows, scale, night });
  });

  const length = typeof size === "number" ? `${size}px` : size;
  return html`<figure class="heat">
    <canvas ref=${canvas} width=${columns * scale} height=${rows * scale} role="img" aria-label=${label}
      class=${smooth ? "smooth" : ""} style=${{ width: length, aspectRatio: `${columns} / ${rows}` }}></canvas>
    ${title && html`<figcaption>${title}</figcaption>`}
  </figure>`;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Required<Pick<HeatProps, "rows" | "columns" | "values" | "colors" | "x" | "y" | "points" | "path" | "arrows">> & {low?: number | undefined, high?: number | undefined, scale: number, night: boolean}} what
 */
export function paint(context, { rows, columns, values, low, high, colors, x, y, points, path, arrows, scale, night }) {
  const picture = new ImageData(columns, rows);
  let least = low ?? Infinity;
  let most = high ?? -Infinity;
  if (low === undefined || high === undefined)
    for (let i = 0; i < rows * columns; i++) {
      const v = values[i] ?? 0;
      if (low === undefined && v < least) least = v;
      if (high === undefined && v > most) most = v;
    }
  const reach = Math.max(Math.abs(least), Math.abs(most)) || 1;
  for (let i = 0; i < rows * columns; i++) {
    const v = values[i] ?? 0;
    const [r, g, b] = colors === "shade" ? shade((v - least) / (most - least || 1), night) : diverging(v / reach, night);
    picture.data.set([r ?? 0, g ?? 0, b ?? 0, 255], 4 * i);
  }
  if (scale === 1) {
    context.putImageData(picture, 0, 0);
    return;
  }
  const small = new OffscreenCanvas(columns, rows);
  /** @type {OffscreenCanvasRenderingContext2D} */ (small.getContext("2d")).putImageData(picture, 0, 0);
  const [width, height] = [columns * scale, rows * scale];
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, width, height);
  /** @param {number} px @param {number} py @returns {[number, number]} */
  const at = (px, py) => [((px - x[0]) / (x[1] - x[0])) * width, height - ((py - y[0]) / (y[1] - y[0])) * height];
  context.strokeStyle = context.fillStyle = night ? "rgba(255,255,255,.75)" : "rgba(0,0,0,.65)";
  for (const [ax, ay, dx, dy] of arrows) {
    const [[fx, fy], [tx, ty]] = [at(ax, ay), at(ax + dx, ay + dy)];
    const turn = Math.atan2(ty - fy, tx - fx);
    const head = Math.min(9, Math.hypot(tx - fx, ty - fy) / 2);
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(fx, fy);
    context.lineTo(tx, ty);
    context.stroke();
    context.beginPath();
    for (const side of [0, 2.6, -2.6]) context.lineTo(tx + (side ? head * Math.cos(turn + side) : 0), ty + (side ? head * Math.sin(turn + side) : 0));
    context.fill();
  }
  if (path.length) {
    context.lineWidth = 2.5;
    context.strokeStyle = night ? "#fff" : "#111";
    context.beginPath();
    path.forEach((p) => context.lineTo(...at(p[0], p[1])));
    context.stroke();
    const [ex, ey] = at(...(path.at(-1) ?? [0, 0]));
    context.beginPath();
    context.arc(ex, ey, 7, 0, 7);
    context.fillStyle = night ? "#fff" : "#111";
    context.fill();
  }
  for (const p of points) {
    const [cx, cy] = at(p.x, p.y);
    context.beginPath();
    context.arc(cx, cy, 5, 0, 7);
    context.lineWidth = 2;
    const color = p.group === undefined ? css(night ? [240, 240, 240] : [20, 20, 20]) : classColor(p.group);
    context.fillStyle = p.open ? "transparent" : color;
    context.strokeStyle = p.open ? color : night ? "#000" : "#fff";
    context.fill();
    context.stroke();
  }
}
