import assert from "node:assert/strict";
import { test } from "node:test";
import { fresh, layout, nearest, path } from "../../../src/nacre/studio/page/views/playground/layout.js";

test("each unit of a layer is joined to each of the next", () => {
  const plan = layout([2, 4, 1], 600);
  assert.equal(plan.lines.length, 2 * 4 + 4 * 1);
  assert.deepEqual(plan.units.map((column) => column.length), [2, 4, 1]);
  assert.deepEqual(plan.columns, [100, 300, 500]);
});

test("units neither overlap nor leave the picture, however many there are", () => {
  for (const n of [1, 4, 16]) {
    const { units, size, height } = layout([n, 1], 100);
    const ys = (units[0] ?? []).map((p) => p.y);
    ys.slice(1).forEach((y, k) => assert.ok(y - ys[k] > size));
    assert.ok(ys[0] - size / 2 >= 0 && ys.at(-1) + size / 2 <= height);
  }
});

test("two hidden layers fit into a phone, and keep their distance in a wide window", () => {
  const [phone, wide] = [layout([2, 4, 2, 1], 334), layout([2, 4, 2, 1], 600)];
  assert.ok(phone.width <= 334 && phone.apart >= 80);
  assert.ok(wide.apart >= 120);
  assert.ok(layout([2, 4, 4, 4, 1], 334).width > 334); // more is moved over
});

test("pictures have no lines from their pixels", () => {
  assert.equal(layout([1, 3, 10], 600, false).lines.length, 30);
});

test("the nearest line is found along its curve, and none far away", () => {
  const { lines } = layout([2, 2], 600);
  lines.forEach(({ a, b }, k) => {
    assert.equal(nearest([lines[k]], (a.x + b.x) / 2, (a.y + b.y) / 2), 0);
  });
  assert.equal(nearest(lines, lines[0].a.x + 1, lines[0].a.y), 0);
  assert.equal(nearest(lines, 300, 5000), -1);
  assert.match(path(lines[0]), /^M[\d.]+ [\d.]+C/);
});

test("a new layer has a name that no other has", () => {
  assert.equal(fresh([]), "hidden_1");
  assert.equal(fresh([{ name: "hidden_1" }, { name: "hidden_3" }]), "hidden_2");
});
