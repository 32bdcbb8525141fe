// @ts-check
/** Curves over a common axis, drawn by uPlot; new values move the lines without drawing anything else anew. */
import uPlot from "uplot";
import { html, useLayoutEffect, useRef } from "../html.js";
import { lineColor } from "../colors.js";
import { percent, short } from "../numbers.js";
import { theme } from "../theme.js";

/**
 * @typedef {{label: string, values: (number | null)[], dashed?: boolean, color?: string, dots?: boolean}} Line
 * @typedef {{title?: string, x: {label: string, values: number[]}, y?: {label?: string, log?: boolean, percent?: boolean, range?: [number, number]}, lines: Line[], height?: number}} CurvesProps
 */

/** What lies between two marks where x counts something. */
const WHOLE = Array.from({ length: 10 }, (_, k) => [1, 2, 5].map((n) => n * 10 ** k)).flat();

/** @param {CurvesProps} props */
export function Curves({ title, x, y = {}, lines, height = 220 }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const whole = x.values.every(Number.isInteger);
  const night = theme.value === "dark";
  const shape = JSON.stringify([x.label, whole, y, height, lines.map((l) => [l.label, l.dashed, l.color, l.dots]), x.values.length < 2, night]);
  const said = (/** @type {number | null | undefined} */ v) => (y.percent && typeof v === "number" ? percent(v) : short(v));
  const data = /** @type {uPlot.AlignedData} */ ([x.values, ...lines.map((l) => l.values)]);

  useLayoutEffect(() => {
    const node = place.current;
    if (!node) return;
    const ink = getComputedStyle(node).getPropertyValue("--ink-soft").trim() || "#666";
    const grid = { stroke: getComputedStyle(node).getPropertyValue("--line").trim() || "#ddd", width: 1 };
    /** Under a curve stands what is pointed at, else the newest value of what counts steps or epochs.
     * @param {uPlot} plotted @param {number | null} v @param {number} k @param {number | null} at */
    const told = (plotted, v, k, at) => (k ? said : short)(at === null && whole ? Array.from(plotted.data[k] ?? []).findLast((one) => one !== null) : v);
    const axis = { stroke: ink, grid, ticks: grid, font: "12px system-ui", labelFont: "12px system-ui", labelSize: 18 };
    const made = new uPlot(
      {
        width: Math.max(node.clientWidth, 120),
        height,
        cursor: { y: false },
        legend: { live: true },
        scales: { x: { time: false }, y: { ...(y.log ? { distr: 3 } : {}), ...(y.range ? { range: y.range } : {}) } },
        axes: [
          { ...axis, size: 34, label: x.label, ...(whole ? { incrs: WHOLE } : {}) },
          { ...axis, size: 60, ...(y.label ? { label: y.label } : {}), values: (_, splits) => splits.map((v) => (v === null ? "" : y.percent ? `${short(100 * v)} %` : short(v))) },
        ],
        series: [
          { label: x.label, value: told },
          ...lines.map((line, k) => ({
            label: line.label,
            stroke: lineColor(line.color, line.label, k + 1, night),
            width: 2,
            ...(line.dashed ? { dash: [6, 4] } : {}),
            ...(line.dots ? { paths: () => null, points: { show: true, size: 10, fill: lineColor(line.color, line.label, k + 1, night) } } : { points: { show: x.values.length < 2 } }),
            value: told,
          })),
        ],
      },
      data,
      node,
    );
    plot.current = made;
    const watch = new ResizeObserver(() => node.clientWidth > 0 && made.setSize({ width: node.clientWidth, height }));
    watch.observe(node);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useLayoutEffect(() => plot.current?.setData(data), data); // drawing costs much, and whatever is said anew beside a curve leaves it as it is

  const last = lines.map((line) => `${line.label} ${said(line.values.at(-1))}`).join(", ");
  const spoken = `${title ?? y.label ?? "Curves"} by ${x.label}: ${lines.length ? `at the end ${last}` : "nothing yet"}`;
  return html`<figure class="curves" role="img" aria-label=${spoken}>
    ${title && html`<figcaption>${title}</figcaption>`}
    <div ref=${place}></div>
  </figure>`;
}
