import assert from "node:assert/strict";
import { test } from "node:test";
import { changed, next, told, wide } from "../../../src/nacre/studio/page/views/lessons/values.js";

const CONTROLS = [
  { kind: "slider", name: "x", label: "x", value: 1.5, low: -3, high: 3, step: 0.01 },
  { kind: "toggle", name: "on", label: "on", value: true },
  { kind: "choice", name: "f", label: "f", value: "a" },
  { kind: "button", name: "seed", label: "again" }, // 0 is left out of what travels
];

test("an address says what was changed, and is understood again", () => {
  const values = { x: 2, on: false, f: "a", seed: 3 };
  const said = changed(values, CONTROLS);
  assert.deepEqual(said, { x: "2", on: "false", seed: "3" });
  assert.deepEqual(told(CONTROLS, new URLSearchParams(said)), values);
  assert.deepEqual(told(CONTROLS, new URLSearchParams()), { x: 1.5, on: true, f: "a", seed: 0 });
});

test("a slider that plays takes about sixty steps, ends at its end, and stops there", () => {
  const epochs = { kind: "slider", name: "n", label: "n", low: 0, high: 150, step: 1 };
  let at = 0;
  let steps = 0;
  for (let to = next(epochs, at); to !== null; to = next(epochs, at)) {
    assert.ok(to > at);
    at = to;
    steps++;
  }
  assert.equal(at, 150);
  assert.ok(steps >= 50 && steps <= 76, String(steps));
  assert.equal(next({ ...epochs, high: 3 }, 2), 3);
  assert.equal(next({ ...epochs, low: -3, high: 3, step: 0.01 }, -3), -2.9);
});

test("what is broad gets the whole width", () => {
  assert.ok(wide({ kind: "network", layers: [1, 2, 3, 4] }) && !wide({ kind: "network", layers: [1, 2] }));
  assert.ok(wide({ kind: "pictures", pictures: [1, 2, 3], size: 190 }) && !wide({ kind: "pictures", pictures: [1], size: 190 }));
  assert.ok(wide({ kind: "drawing", svg: '<svg width="900">' }) && !wide({ kind: "drawing", svg: '<svg width="580">' }));
  assert.ok(wide({ kind: "code" }) && !wide({ kind: "curves" }));
});
