import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CLASSES, classColor, lineColor } from "../../../src/nacre/studio/page/lib/colors.js";

const sheet = readFileSync(new URL("../../../src/nacre/studio/page/style.css", import.meta.url), "utf8");
/** The colors that a rule names. @param {string} rule @returns {Record<string, string>} */
const named = (rule) => Object.fromEntries([...rule.matchAll(/(--[a-z-]+): (#[0-9a-f]+)/g)].map(([, name, color]) => [name, color]));
const [day, night, again] = [...sheet.matchAll(/:root[^{]*\{[^}]*\}/g)].map(([rule]) => named(rule));

/** WCAG's relative luminance. @param {string} color */
function luminance(color) {
  const long = color.length === 4 ? [...color.slice(1)].map((c) => c + c).join("") : color.slice(1);
  const [r, g, b] = [0, 2, 4].map((k) => parseInt(long.slice(k, k + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
/** @param {string} a @param {string} b */
function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

test("contrast is what WCAG says of black, white and a grey", () => {
  assert.equal(contrast("#000", "#fff"), 21);
  assert.equal(contrast("#767676", "#ffffff").toFixed(2), "4.54");
});

test("the dark colors are the same whether the system or the reader chose them", () => assert.deepEqual(night, again));

for (const [name, colors] of Object.entries({ light: day, dark: night })) {
  test(`text can be read in the ${name} colors`, () => {
    const pairs = ["--ink", "--ink-soft", "--accent", "--bad", "--good"].flatMap((text) => [[text, "--ground"], [text, "--card"]]);
    for (const [text, ground] of [...pairs, ["--bad", "--bad-ground"], ["--good", "--good-ground"], ["--ink", "--good-ground"], ["--accent-ink", "--accent"]])
      assert.ok(contrast(colors[text], colors[ground]) >= 4.5, `${text} on ${ground}: ${contrast(colors[text], colors[ground])}`);
  });

  test(`lines, points and edges can be seen in the ${name} colors`, () => {
    const dark = name === "dark";
    const lines = [...CLASSES.map((_, k) => classColor(k, dark)), ...["training", "validation"].map((label) => lineColor(undefined, label, 0, dark))];
    for (const color of [...lines, colors["--above"], colors["--below"], colors["--edge"]])
      for (const ground of ["--ground", "--card"]) assert.ok(contrast(color, colors[ground]) >= 3, `${color} on ${ground}: ${contrast(color, colors[ground])}`);
  });
}
