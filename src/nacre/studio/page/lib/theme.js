// @ts-check
/** Light or dark: as the system is, unless the reader chose. */
import { signal } from "@preact/signals";

const system = matchMedia("(prefers-color-scheme: dark)");
const kept = localStorage.getItem("nacre-theme");

export const theme = signal(/** @type {"light" | "dark"} */ (kept === "light" || kept === "dark" ? kept : system.matches ? "dark" : "light"));
if (kept) document.documentElement.dataset.theme = theme.value;

system.addEventListener("change", () => {
  if (!document.documentElement.dataset.theme) theme.value = system.matches ? "dark" : "light";
});

export function turn() {
  theme.value = theme.value === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem("nacre-theme", theme.value);
}
