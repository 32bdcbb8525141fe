import assert from "node:assert/strict";
import { test } from "node:test";
import { shades } from "../../../src/nacre/studio/page/views/inside/shades.js";

test("a drawing becomes the mean brightness of its fields", () => {
  const rgba = [255, 255, 0, 0, 0, 0, 0, 0].flatMap((v) => [v, v, v, 255]);
  assert.deepEqual(shades(rgba, 4, 2, 1, 2), [0.5, 0]);
  assert.deepEqual(shades(rgba, 4, 2, 2, 4), [1, 1, 0, 0, 0, 0, 0, 0]);
});
