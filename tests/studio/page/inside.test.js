import assert from "node:assert/strict";
import { test } from "node:test";
import { latest } from "../../../src/nacre/studio/page/lib/latest.js";
import { shades } from "../../../src/nacre/studio/page/views/inside/shades.js";

test("a drawing becomes the mean brightness of its fields", () => {
  const rgba = [255, 255, 0, 0, 0, 0, 0, 0].flatMap((v) => [v, v, v, 255]);
  assert.deepEqual(shades(rgba, 4, 2, 1, 2), [0.5, 0]);
  assert.deepEqual(shades(rgba, 4, 2, 2, 4), [1, 1, 0, 0, 0, 0, 0, 0]);
});

test("of many wishes, the first and the newest are fulfilled, one at a time", async () => {
  /** @type {(() => void)[]} */
  const done = [];
  const begun = [];
  const wish = latest((n) => (begun.push(n), new Promise((resolve) => done.push(resolve))));
  [1, 2, 3, 4].forEach(wish);
  assert.deepEqual(begun, [1]);
  done[0]();
  await new Promise(setImmediate);
  assert.deepEqual(begun, [1, 4]);
  done[1]();
  await new Promise(setImmediate);
  wish(5);
  assert.deepEqual(begun, [1, 4, 5]);
});
