// @ts-check
/** The frame of the studio: the views, one shown at a time. To add one: a file in views/, and a line here. */
import { Component, html, render, useEffect } from "./lib/html.js";
import { address, here } from "./lib/router.js";
import { theme, turn } from "./lib/theme.js";
import { Trouble } from "./lib/controls.js";
import { Playground } from "./views/playground.js";
import { Runs } from "./views/runs.js";
import { Inside } from "./views/inside.js";
import { Lessons } from "./views/lessons.js";

/** @type {[string, string, any][]} */
const VIEWS = [
  ["playground", "Playground", Playground],
  ["runs", "Runs", Runs],
  ["inside", "Inside", Inside],
  ["lessons", "Lessons", Lessons],
];

/** What breaks in a view is said in its place, and the rest of the page goes on. */
class Guarded extends Component {
  /**
   * @override
   * @param {any} error
   */
  static getDerivedStateFromError(error) {
    console.error(error);
    return { error };
  }
  /**
   * @override
   * @param {any} props
   * @param {any} state
   */
  render(props, state) {
    return state.error ? html`<${Trouble} error=${state.error} />` : props.children;
  }
}

function Studio() {
  const { view, rest } = here.value;
  const found = VIEWS.find(([name]) => name === view);
  const about = rest[0] && (view === "runs" || view === "inside") ? `${rest[0]} – ` : "";
  useEffect(() => {
    document.title = `${about}${found ? found[1] : "?"} – nacre studio`;
  }, [view, about]);
  // Where a page takes the place of one whose link was followed, the focus goes on from its beginning, and not from that of the window.
  const shown = [view, ...rest].join("/");
  useEffect(() => {
    if (document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
  }, [shown]);
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ e) => (e.preventDefault(), document.getElementById("main")?.focus())}>To the content</a>
    <header>
      <a class="brand" href=${address(["playground"])}><img src="static/icon.svg" alt="" width="24" height="24" /> nacre studio</a>
      <nav aria-label="Views">
        ${VIEWS.map(([name, title]) => html`<a href=${address([name])} aria-current=${name === view ? "page" : undefined}>${title}</a>`)}
      </nav>
      <button class="quiet" onClick=${turn} aria-label="Change between light and dark">${theme.value === "dark" ? "Light" : "Dark"}</button>
    </header>
    <main id="main" tabindex="-1">
      <${Guarded} key=${view}>
        ${found ? html`<${found[2]} />` : html`<p class="trouble" role="alert">There is no view called “${view}”.</p>`}
      <//>
    </main>`;
}

// The token has become a cookie; the address is one to share now.
if (location.search) history.replaceState(null, "", location.pathname + location.hash);

const root = document.getElementById("studio");
if (root) {
  root.textContent = "";
  render(html`<${Studio} />`, root);
}
