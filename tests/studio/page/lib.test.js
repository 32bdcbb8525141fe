import assert from "node:assert/strict";
import { test } from "node:test";
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
