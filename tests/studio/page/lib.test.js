import assert from "node:assert/strict";
import { test } from "node:test";
import { classColor, inkOn, lineColor } from "../../../src/nacre/studio/page/lib/colors.js";
import { bytes, figure, percent, short } from "../../../src/nacre/studio/page/lib/numbers.js";

test("numbers are short, and say that they are missing", () => {
  assert.equal(short(0.12345), "0.123");
  assert.equal(short(12345), "12,345");
  assert.equal(short(1.5e-7), "1.5e-7");
  assert.equal(short(NaN), "–");
  assert.equal(short(null), "–");
  assert.equal(percent(0.98765), "98.8 %");
});

test("a small share is not none, and accuracies are shares wherever they are told", () => {
  assert.equal(percent(0), "0.0 %");
  assert.equal(percent(0.0004), "< 0.1 %");
  assert.equal(percent(0.0005), "0.1 %");
  assert.equal(figure("val_accuracy", 0.8912), "89.1 %");
  assert.equal(figure("accuracy", null), "–");
  assert.equal(figure("loss", 0.8912), "0.891");
});

test("bytes come out of base64 as they went in", () => {
  assert.deepEqual([...bytes(btoa("\x00\x7f\xff"))], [0, 127, 255]);
});

test("what was learned from has one color everywhere, and given colors have one for the dark", () => {
  assert.equal(lineColor(undefined, "validation", 2, false), lineColor(undefined, "test", 5, false));
  assert.notEqual(lineColor(undefined, "training", 1, false), lineColor(undefined, "test", 1, false));
  assert.equal(lineColor(undefined, "run", 2, false), classColor(2, false));
  assert.equal(lineColor("#1f6cb5", "f", 1, true), classColor(1, true));
  assert.equal(lineColor("#2e9e5b", "f", 1, true), "#2e9e5b");
});

test("what stands on a color can be read", () => {
  assert.equal(inkOn([31, 108, 181]), "#fff");
  assert.equal(inkOn([105, 156, 204]), "#000");
});
