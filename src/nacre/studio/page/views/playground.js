// @ts-check
/** The playground: a network built by hand that learns before one's eyes. The engine computes; this page draws. */
import { html, useEffect, useState } from "../lib/html.js";
import { Trouble } from "../lib/controls.js";
import { here } from "../lib/router.js";
import { Bar, Learning } from "./playground/controls.js";
import { DataPanel } from "./playground/data.js";
import { NetworkPanel } from "./playground/network.js";
import { OutputPanel } from "./playground/output.js";
import { Share } from "./playground/share.js";
import { begin, leave, shown, take, trouble } from "./playground/store.js";

export function Playground() {
  const [sharing, share] = useState(false);
  const [over, setOver] = useState(false);
  const link = here.value.query.get("recipe");
  useEffect(() => void begin(link), [link]);
  useEffect(() => leave, []);
  return html`<h1 class="pg-hidden">Playground</h1>
    ${shown.value ? html`<${Bar} share=${() => share(true)} />` : html`<p class="waiting">The engine starts …</p>`}
    ${trouble.value && html`<div class="pg-trouble"><${Trouble} error=${trouble.value} /><button onClick=${() => ((trouble.value = null), document.getElementById("main")?.focus())}>Close</button></div>`}
    <div class=${over ? "pg over" : "pg"} onDragOver=${(/** @type {DragEvent} */ e) => (e.preventDefault(), setOver(true))} onDragLeave=${() => setOver(false)}
      onDrop=${(/** @type {DragEvent} */ e) => (e.preventDefault(), setOver(false), take(e.dataTransfer?.files[0]))}>
      <${DataPanel} />
      <div class="pg-middle"><${NetworkPanel} /><${Learning} /></div>
      <${OutputPanel} />
    </div>
    ${sharing && html`<${Share} close=${() => share(false)} />`}`;
}
