// @ts-check
import { html } from "../lib/html.js";

export function Inside() {
  return html`<h1>Inside</h1>`;
}
