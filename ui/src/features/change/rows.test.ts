import { expect, test } from "vitest";

import { drawn, rowAt, startOf, toSee } from "./rows";

test("draws what is in sight and little more, at every place of a long list", () => {
  expect(drawn(0, 400, 40, 500, [])).toEqual({ first: 0, end: 17 });
  expect(drawn(8000, 400, 40, 500, [])).toEqual({ first: 194, end: 217 });
  expect(drawn(19_600, 400, 40, 500, [])).toEqual({ first: 484, end: 500 });
  expect(drawn(0, 400, 40, 3, [])).toEqual({ first: 0, end: 3 });
  expect(drawn(0, 400, 40, 0, [])).toEqual({ first: 0, end: 0 });
  const { first, end } = drawn(8000, 100_000, 40, 5000, []);
  expect(end - first).toBeLessThanOrEqual(60);
});

test("opened rows move the ones below them", () => {
  const opened = [
    { index: 10, more: 300 },
    { index: 2, more: 100 },
  ];
  expect([2, 3, 10, 11].map((index) => startOf(index, 40, opened))).toEqual([80, 220, 500, 840]);
  expect(startOf(20, 40, opened), "the height of all").toBe(1200);
  expect([79, 80, 219, 220, 499, 500, 839, 840].map((place) => rowAt(place, 40, opened))).toEqual([1, 2, 2, 3, 9, 10, 10, 11]);
});

test("a row in sight is not scrolled to, another one is", () => {
  expect(toSee(200, 40, 100, 400)).toBe(100);
  expect(toSee(480, 40, 100, 400)).toBe(347);
  expect(toSee(40, 40, 100, 400)).toBe(0);
});
