// @ts-check
/** A book whose pages can be changed: the list of lessons, and one lesson with its controls and figures. */
import { Press, Trouble } from "../lib/controls.js";
import { get } from "../lib/api.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { latest } from "../lib/latest.js";
import { Figure } from "../lib/figures/figure.js";
import { address, here, place } from "../lib/router.js";
import { Part } from "./lessons/controls.js";
import { changed, told, wide } from "./lessons/values.js";

/**
 * @typedef {{name: string, title: string}} Named
 * @typedef {{title: string, lessons: Named[]}} Chapter
 * @typedef {import("./lessons/values.js").Control} Control
 * @typedef {{name: string, title: string, text: string[], controls: Control[], figures: ({kind: string} & Record<string, any>)[]}} Opened
 */

export function Lessons() {
  const [chapters, setChapters] = useState(/** @type {Chapter[] | null} */ (null));
  const [trouble, setTrouble] = useState(/** @type {any} */ (null));
  useEffect(() => {
    get("lessons").then(setChapters, setTrouble);
  }, []);
  const name = here.value.rest[0];
  useEffect(() => document.querySelector('.contents [aria-current="page"]')?.scrollIntoView({ block: "nearest" }), [name, chapters]);
  if (trouble) return html`<h1>Lessons</h1><${Trouble} error=${trouble} />`;
  if (!chapters) return html`<h1>Lessons</h1><p class="waiting">One moment.</p>`;
  if (!name) return html`<${Contents} chapters=${chapters} />`;
  return html`<div class="book">
    <nav class="contents" aria-label="Lessons">
      ${chapters.map((chapter) => html`<h2>${chapter.title}</h2><${List} lessons=${chapter.lessons} open=${name} />`)}
    </nav>
    <${Lesson} key=${name} name=${name} chapters=${chapters} />
  </div>`;
}

/** @param {{lessons: Named[], open?: string}} props */
const List = ({ lessons, open }) => html`<ul>
  ${lessons.map((one) => html`<li><a href=${address(["lessons", one.name])} aria-current=${one.name === open ? "page" : undefined}>${one.title}</a></li>`)}
</ul>`;

/** @param {{chapters: Chapter[]}} props */
function Contents({ chapters }) {
  const first = chapters[0]?.lessons[0];
  return html`<h1>Lessons</h1>
    <p class="lead">From the slope of a curve to deep networks, in ${chapters.flatMap((c) => c.lessons).length} pages that you can change. The engine computes every figure anew
      when you move something, and each page shows the Python that does the same.</p>
    ${first && html`<p><a class="begin" href=${address(["lessons", first.name])}>Begin: ${first.title}</a></p>`}
    <div class="columns">
      ${chapters.map((chapter) => html`<section class="card"><h2>${chapter.title}</h2><${List} lessons=${chapter.lessons} /></section>`)}
    </div>`;
}

/** @param {{name: string, chapters: Chapter[]}} props */
function Lesson({ name, chapters }) {
  const [opened, setOpened] = useState(/** @type {Opened | null} */ (null));
  const [trouble, setTrouble] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const title = useRef(/** @type {HTMLElement | null} */ (null));

  const want = useMemo(
    () =>
      latest((/** @type {string} */ query) => {
        setBusy(true);
        return get(`lessons/${encodeURIComponent(name)}${query && `?${query}`}`)
          .then((answer) => (setOpened(answer), setTrouble(null)), setTrouble)
          .finally(() => setBusy(false));
      }),
    [name],
  );
  const query = here.value.query.toString();
  useEffect(() => want(query), [query, want]);
  const all = chapters.flatMap((chapter) => chapter.lessons);
  const at = all.findIndex((one) => one.name === name);
  const known = all[at]?.title;
  useEffect(() => {
    if (known) document.title = `${known} – nacre studio`;
    title.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [known]);

  const values = opened ? told(opened.controls, here.value.query) : {};
  /** What controls say is in the address, so that one can share it; going back leads to the page before. @param {Record<string, string>} said */
  const go = (said) => {
    history.replaceState(null, "", address(["lessons", name], said));
    here.value = place(location.hash);
  };
  /** @param {string} control @param {any} value */
  const set = (control, value) => {
    if (!opened) return;
    go(changed({ ...values, [control]: value }, opened.controls));
  };

  return html`<article class="lesson" aria-busy=${busy}>
    <p class="way"><a href=${address(["lessons"])}>All lessons</a></p>
    <div class="head">
      <h1 ref=${title} tabindex="-1">${opened?.title ?? known ?? "Lesson"}</h1>
      ${opened && html`<${Press} class="quiet" off=${!query} onClick=${() => go({})}>Reset<//>`}
    </div>
    ${opened && opened.text.map((one) => html`<p class="lead">${one}</p>`)}
    <${Trouble} error=${trouble} />
    ${trouble && !opened && html`<p><a href=${address(["lessons", name])}>The lesson as it is at first</a></p>`}
    ${!opened && !trouble && html`<p class="waiting" role="status">The engine computes the figures …</p>`}
    ${opened &&
    html`<section class="card moved" aria-label="Controls">
        ${opened.controls.map((control) => html`<${Part} key=${control.name} control=${control} value=${values[control.name]} busy=${busy} set=${(/** @type {any} */ v) => set(control.name, v)} />`)}
      </section>
      <div class=${trouble ? "shown stale" : "shown"}>
        ${opened.figures.map((of, n) => html`<div key=${n} class=${`shown-${of.kind} ${of.strong ? "strong" : ""} ${wide(of) ? "wide" : ""}`} aria-live=${of.strong ? "polite" : undefined}><${Figure} of=${of} /></div>`)}
      </div>`}
    ${at >= 0 && html`<nav class="around" aria-label="Next lessons">${[all[at - 1], all[at + 1]].map((one, n) =>
      one ? html`<a rel=${n ? "next" : "prev"} href=${address(["lessons", one.name])}>${n ? `${one.title} →` : `← ${one.title}`}</a>` : html`<span></span>`)}</nav>`}
  </article>`;
}
