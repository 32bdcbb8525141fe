import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, epochs, filtered, leaf, positive, progress, sorted, span, sparkline } from "../../../src/nacre/studio/page/views/runs/words.js";

const run = (name, more = {}) => ({ name, state: "over", data: "digits", network: "mlp:128, relu", epochs: 1, planned: 10, begun: 0, seen: 0, best: null, loss: null, sparks: [], pace: null, trouble: [], ...more });

test("spans of time are said in their largest unit", () => {
  assert.equal(span(0.2), "less than a second");
  assert.equal(span(1), "1 second");
  assert.equal(span(119), "1 minute");
  assert.equal(span(7200), "2 hours");
  assert.equal(span(86400 * 8), "8 days");
  assert.equal(ago(100, 100.5), "just now");
  assert.equal(ago(0, 61), "1 minute ago");
});

test("how far a training is, and what is left where its pace is known", () => {
  const now = (more) => run("a", { state: "training", epochs: 4, ...more });
  assert.equal(progress(now({})), "epoch 4 of 10");
  assert.equal(progress(now({ pace: 0.1 })), "epoch 4 of 10, 0.100 epochs per second, about 1 minute left");
  assert.equal(progress(now({ planned: null })), "epoch 4");
  assert.equal(epochs(run("a", { epochs: 1234 })), "1,234");
});

test("runs are sorted by a property, those without it last either way", () => {
  const runs = [run("a", { loss: 2 }), run("b"), run("c", { loss: 1 }), run("a10"), run("a9")];
  const names = (by, down) => sorted(runs, by, down).map((one) => one.name).join(" ");
  assert.equal(names("loss", false), "c a a9 a10 b");
  assert.equal(names("loss", true), "a c a9 a10 b");
  assert.equal(names("name", false), "a a9 a10 b c");
});

test("a filter asks for all its words, in any case", () => {
  const runs = [run("One"), run("two", { network: "mlp:64, tanh" }), run("three", { state: "training" })];
  const names = (words, state) => filtered(runs, words, state).map((one) => one.name).join(" ");
  assert.equal(names("", "all"), "One two three");
  assert.equal(names("TANH mlp", "all"), "two");
  assert.equal(names("tanh relu", "all"), "");
  assert.equal(names("", "training"), "three");
});

test("a small curve fills its place, and passes over gaps", () => {
  assert.equal(sparkline([2, null, 1], 102, 22), "1.0,2.0 101.0,20.0");
  assert.equal(sparkline([5], 102, 22), "1.0,20.0");
});

test("a log axis has no place for what is not above 0", () => {
  assert.deepEqual(positive([1, 0, -1, null]), [1, null, null, null]);
});

test("the last part of a path is the name of a run", () => {
  assert.equal(leaf("/a/b/fix-1"), "fix-1");
  assert.equal(leaf("C:\\runs\\fix-1"), "fix-1");
});
