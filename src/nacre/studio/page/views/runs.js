// @ts-check
import { html } from "../lib/html.js";

export function Runs() {
  return html`<h1>Runs</h1>`;
}
