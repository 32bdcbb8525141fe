// @ts-check
/** What can be taken along: a link, a recipe, a script, the model. */
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { modelAddress, open, share } from "./store.js";
import { address } from "../../lib/router.js";

/** @param {string} name @param {string} text */
function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** @param {{close: () => void}} props */
export function Share({ close }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [copied, setCopied] = useState("");
  useEffect(() => {
    dialog.current?.showModal();
    share().then((answer) => (answer ? setFound(answer) : close()));
  }, []);
  const link = found?.link ? `${location.origin}${location.pathname}${address(["playground"], { recipe: found.link })}` : "";
  /** @param {string} what @param {string} text */
  const copy = async (what, text) => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(`The ${what} is copied.`);
    } catch {
      setCopied(`The browser does not let this page copy: select the ${what} and copy it by hand.`);
    }
  };
  /** @param {any} e */
  const opened = async (e) => {
    const [file] = e.target.files;
    if (file && (await open({ file: await file.text() }))) close();
  };
  return html`<dialog class="pg-share" ref=${dialog} onClose=${close} aria-labelledby="pg-share">
    <div class="row pg-title"><h2 id="pg-share">Share</h2><button onClick=${() => dialog.current?.close()}>Close</button></div>
    ${found && html`
      <h3>Link</h3>
      ${link ? html`<div class="row"><input type="text" readonly aria-label="Link to this play" value=${link} onFocus=${(/** @type {any} */ e) => e.target.select()} /><button onClick=${() => copy("link", link)}>Copy</button></div>
        <p class="soft pg-note">Opened in a studio, it does every step and change again, to the same bits of all weights.</p>`
        : html`<p class="soft">This play does not fit into a link: its ${found.table ? "table is" : "changes are"} too long. The recipe below holds all of it.</p>`}
      <h3>Files</h3>
      <div class="row">
        <button onClick=${() => save("recipe.json", found.recipe)}>Recipe</button>
        <button onClick=${() => save("playground.py", found.script)}>Python script</button>
        ${found.table && html`<button onClick=${() => save("table.csv", found.table)}>Table</button>`}
        <a class="button" href=${modelAddress()} download="model.safetensors">Model</a>
        <label class="pg-file">Open a recipe <input type="file" accept=".json,application/json" onChange=${opened} /></label>
      </div>
      <div class="row pg-title"><h3>Python script</h3><button onClick=${() => copy("script", found.script)}>Copy</button></div>
      <pre tabindex="0" aria-label="Python script">${found.script}</pre>`}
    <p role="status">${copied}</p>
  </dialog>`;
}
