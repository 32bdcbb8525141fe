import assert from "node:assert/strict";
import { test } from "node:test";
import { latest } from "../../../src/nacre/studio/page/views/lessons/latest.js";
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

test("of many questions only the first and the latest are asked, and only the latest answer is heard", async () => {
  /** @type {((v: any) => void)[]} */
  const answers = [];
  const asked = [];
  const heard = [];
  const busy = [];
  const line = latest((q) => (asked.push(q), new Promise((done) => answers.push(done))), (a) => heard.push(a), assert.fail, (b) => busy.push(b));
  for (const q of [1, 2, 3, 4]) line.want(q);
  assert.deepEqual(asked, [1]);
  answers[0]("one");
  await new Promise(setImmediate);
  assert.deepEqual([asked, heard], [[1, 4], []]);
  answers[1]("four");
  await new Promise(setImmediate);
  assert.deepEqual([heard, busy], [["four"], [true, false]]);
});

test("an error is told, and the next question is asked all the same", async () => {
  const failed = [];
  const heard = [];
  const line = latest((q) => (q === "bad" ? Promise.reject(new Error("no")) : Promise.resolve(q)), (a) => heard.push(a), (e) => failed.push(e.message));
  line.want("bad");
  await new Promise(setImmediate);
  line.want("good");
  await new Promise(setImmediate);
  assert.deepEqual([failed, heard], [["no"], ["good"]]);
  line.stop();
  line.want("late");
  await new Promise(setImmediate);
  assert.deepEqual(heard, ["good"]);
});

test("what is broad gets the whole width", () => {
  assert.ok(wide({ kind: "network", layers: [1, 2, 3, 4] }) && !wide({ kind: "network", layers: [1, 2] }));
  assert.ok(wide({ kind: "pictures", pictures: [1, 2, 3], size: 190 }) && !wide({ kind: "pictures", pictures: [1], size: 190 }));
  assert.ok(wide({ kind: "drawing", svg: '<svg width="900">' }) && !wide({ kind: "drawing", svg: '<svg width="580">' }));
  assert.ok(wide({ kind: "code" }) && !wide({ kind: "curves" }));
});
