// @ts-check
/** The doctor is asked about a run, and its fix tried in a fork: commands that go on when the page is left. */
import { html, useEffect, useState } from "../../lib/html.js";
import { post } from "../../lib/api.js";
import { Press, Trouble } from "../../lib/controls.js";
import { short } from "../../lib/numbers.js";
import { address } from "../../lib/router.js";
import { jobs, runs } from "./store.js";
import { leaf, span } from "./words.js";

/** @typedef {import("./store.js").Job} Job */

/** @param {{name: string, over: boolean}} props */
export function Doctor({ name, over }) {
  const [error, setError] = useState(/** @type {any} */ (null));
  const mine = jobs.value.filter((job) => job.run === name && job.kind !== "train");
  const running = mine.find((job) => job.state === "running");
  const done = mine.find((job) => job.state === "done");
  const fixed = mine.find((job) => job.state === "done" && job.kind === "fix");
  const failed = mine[0] && (mine[0].state === "failed" || mine[0].state === "canceled") ? mine[0] : undefined;
  /** @param {"ask" | "fix"} kind */
  const start = (kind) => (setError(null), post(`runs/of/${encodeURIComponent(name)}/jobs`, { kind }).then(merge, setError));
  return html`<section class="card" aria-labelledby="doctor-title">
    <div class="row between"><h2 id="doctor-title">Doctor</h2>
      <${Press} off=${Boolean(running)} onClick=${() => start("ask")}>${done ? "Ask the doctor again" : "Ask the doctor"}<//></div>
    ${!done && !running && html`<p class="soft">Why does it not learn, or not better? Copies are trained for a short while; the run stays as it is.${over ? "" : " A training that goes on is slowed down."}</p>`}
    ${running && html`<${Running} job=${running} failed=${setError} />`}
    <${Trouble} error=${error} />
    ${failed && !running && (failed.state === "canceled" ? html`<p class="soft">It was canceled.</p>` : html`<div class="trouble" role="alert"><strong>The doctor could not do it.</strong><pre>${failed.error}</pre></div>`)}
    ${done && html`<${Findings} answer=${done.answer} apply=${() => start("fix")} busy=${Boolean(running)} />`}
    ${fixed && html`<${Proof} name=${name} fixed=${fixed.answer.fixed} />`}
  </section>`;
}

/** A job that was started or canceled just now, before the stream tells of it. @param {Job} job */
function merge(job) {
  jobs.value = [job, ...jobs.value.filter((other) => other.id !== job.id)];
}

/** @param {{job: Job, failed: (error: any) => void}} props */
function Running({ job, failed }) {
  const what = job.kind === "fix" ? "The fix is tried on a copy of the run (a fork)" : "The doctor examines the run";
  const [now, tick] = useState(Date.now() / 1000);
  useEffect(() => {
    const clock = setInterval(() => tick(Date.now() / 1000), 1000);
    return () => clearInterval(clock);
  }, []);
  return html`<div class="row level"><progress aria-label=${what}></progress>
      <span role="status">${what}.</span><span class="soft">${span(Math.max(0, now - job.begun))}</span>
      <button onClick=${() => post(`runs/jobs/${job.id}/cancel`).then(merge, failed)}>Cancel</button></div>
    ${job.progress.length > 0 && html`<pre tabindex="0">${job.progress.join("\n")}</pre>`}`;
}

/** @param {{answer: any, apply: () => void, busy: boolean}} props */
function Findings({ answer, apply, busy }) {
  const alarms = answer.findings.filter((/** @type {any} */ f) => f.alarm);
  const remarks = answer.findings.filter((/** @type {any} */ f) => !f.alarm);
  const first = alarms.find((/** @type {any} */ f) => f.fix);
  return html`
    <p class="verdict">${alarms.length === 0 ? "Nothing is wrong that the doctor knows of." : `${alarms.length} finding${alarms.length === 1 ? "" : "s"}${alarms.length === 1 ? "." : ", the likeliest cause first."}`}</p>
    ${answer.note && html`<p class="soft">${answer.note}</p>`}
    <ol class="findings">${alarms.map((/** @type {any} */ f) => html`<li><${Finding} of=${f} />
      ${f === first && html`<p><${Press} class="main" off=${busy} onClick=${apply}>Try the fix on a copy<//></p>`}</li>`)}</ol>
    ${remarks.length > 0 && html`<details><summary>${remarks.length} remark${remarks.length === 1 ? "" : "s"}</summary><ul>${remarks.map((/** @type {any} */ f) => html`<li><${Finding} of=${f} /></li>`)}</ul></details>`}`;
}

/** @param {{of: any}} props */
function Finding({ of: f }) {
  const told = (/** @type {any} */ v) => (typeof v === "number" ? short(v) : String(v));
  return html`<h3>${f.name}: ${f.title}</h3>
    <dl class="measured">${Object.entries(f.numbers).map(([name, value]) => html`<div><dt>${name}</dt><dd>${told(value)}</dd></div>`)}</dl>
    <p>${f.why}</p>
    ${f.fix && html`<p>${f.fix.text}</p><pre tabindex="0">${f.fix.code.trim()}</pre>`}`;
}

/** @type {Record<string, string>} */
const FIGURES = { loss: "loss", accuracy: "accuracy", recall: "recall (mean over classes)", log_loss: "log loss", r2: "r2" };

/** @param {{name: string, fixed: any}} props */
function Proof({ name, fixed }) {
  if (!fixed) return html`<p class="soft">There is nothing to fix.</p>`;
  const fork = fixed.run ? leaf(fixed.run) : "";
  const begun = fixed.why ? `, from ${fixed.step ? `step ${fixed.step.toLocaleString("en-US")}, the end of epoch ${fixed.epoch}` : "the beginning"}: ${fixed.why}` : "";
  const names = Object.keys(FIGURES).filter((key) => key in fixed.before || key in fixed.after);
  return html`<div class="proof" role="group" aria-labelledby="proof-title">
    <h3 id="proof-title">The fix of “${fixed.finding}” ${fixed.helped ? "helped" : "did not help"}</h3>
    ${fixed.also.length > 0 && html`<p>It was applied together with that of ${fixed.also.join(", ")}.</p>`}
    <p class="soft">Both branches were trained for ${fixed.epochs} epoch${fixed.epochs === 1 ? "" : "s"} of ${fixed.rows.toLocaleString("en-US")} rows${begun}. The figures are those on ${fixed.judged_on ?? "rows for validation"}.</p>
    <table><thead><tr><th scope="col"></th><th scope="col">as it was</th><th scope="col">with the fix</th></tr></thead>
      <tbody>${names.map((key) => html`<tr><th scope="row">${FIGURES[key]}</th><td class="number">${short(fixed.before[key])}</td><td class="number">${short(fixed.after[key])}</td></tr>`)}</tbody></table>
    ${fork && runs.value?.has(fork) && html`<p class="row"><a class="button main" href=${address(["runs"], { compare: `${name}/${fork}` })}>Compare both runs</a><a href=${address(["runs", fork])}>${fork}</a></p>`}
    ${!fork && html`<p class="soft">The fork was not kept as a run.</p>`}
  </div>`;
}
