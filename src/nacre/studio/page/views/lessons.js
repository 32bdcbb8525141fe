// @ts-check
import { html } from "../lib/html.js";

export function Lessons() {
  return html`<h1>Lessons</h1>`;
}
