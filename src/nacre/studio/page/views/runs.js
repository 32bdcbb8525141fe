// @ts-check
/** The runs of a folder as they are: a list, one of them in full, or several beside each other. */
import { html, useEffect } from "../lib/html.js";
import { here } from "../lib/router.js";
import { Compare } from "./runs/compare.js";
import { List } from "./runs/list.js";
import { One } from "./runs/one.js";
import { broken, said, watch } from "./runs/store.js";

export function Runs() {
  useEffect(watch, []);
  const { rest, query } = here.value;
  const compared = query.get("compare");
  const shown = compared ? html`<${Compare} key=${compared} names=${compared} />` : rest[0] ? html`<${One} key=${rest[0]} name=${rest[0]} />` : html`<${List} />`;
  return html`<div class="runs">
    ${broken.value && html`<p class="trouble" role="status">The studio does not answer; what is shown may be old. It is asked again and again.</p>`}
    <p class="unseen" aria-live="polite">${said.value}</p>
    ${shown}
  </div>`;
}
