import { expect, test } from "vitest";

import { dayOf, isDay, pauseOf } from "./pause";

const TODAY = "2026-11-24";

test.each([
  ["off", null],
  [undefined, null],
  ["on", { until: null }],
  ["2026-11-24", { until: "2026-11-24" }],
  ["2026-12-01", { until: "2026-12-01" }],
  ["2026-11-23", null],
  ["nonsense", null],
])("the setting %s means %o", (value, expected) => {
  expect(pauseOf(value, TODAY)).toEqual(expected);
});

test("only a day that exists is one", () => {
  expect(["2026-02-28", "2028-02-29", "2026-02-29", "2026-13-01", "24.12.2026", ""].map(isDay)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("a day is the local one", () => {
  expect(dayOf(new Date(2026, 0, 5, 23, 59))).toBe("2026-01-05");
});
