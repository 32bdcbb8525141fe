import assert from "node:assert/strict";
import { test } from "node:test";
import { latest } from "../../../src/nacre/studio/page/lib/latest.js";
import { bytes, percent, short } from "../../../src/nacre/studio/page/lib/numbers.js";

test("numbers are short, and say that they are missing", () => {
  assert.equal(short(0.12345), "0.123");
  assert.equal(short(12345), "12,345");
  assert.equal(short(1.5e-7), "1.5e-7");
  assert.equal(short(NaN), "–");
  assert.equal(short(null), "–");
  assert.equal(percent(0.98765), "98.8 %");
});

test("bytes come out of base64 as they went in", () => {
  assert.deepEqual([...bytes(btoa("\x00\x7f\xff"))], [0, 127, 255]);
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
