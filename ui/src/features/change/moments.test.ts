import { expect, test } from "vitest";

import { momentOf } from "./moments";

const NOW = new Date(2026, 10, 24, 12, 30);

test.each([
  ["22:00", new Date(2026, 10, 24, 22, 0)],
  ["12:30", new Date(2026, 10, 25, 12, 30)],
  [" 9:05 ", new Date(2026, 10, 25, 9, 5)],
  ["2026-11-24 12:31", new Date(2026, 10, 24, 12, 31)],
  ["2028-02-29T00:00", new Date(2028, 1, 29)],
])("%s is a time to come", (text, expected) => {
  expect(momentOf(text, NOW)).toEqual({ at: expected });
});

test.each(["", "now", "24:00", "12:60", "2026-11-31 08:00", "2026-13-01 08:00", "2027-02-29 08:00", "24.11.2026 22:00"])(
  "%o is no time",
  (text) => {
    expect(momentOf(text, NOW)).toEqual({ at: null, why: "unreadable" });
  },
);

test.each(["2026-11-24 12:30", "2026-11-23 23:59"])("%s is over", (text) => {
  expect(momentOf(text, NOW)).toEqual({ at: null, why: "past" });
});
