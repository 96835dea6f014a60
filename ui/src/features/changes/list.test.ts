import { expect, test } from "vitest";

import { counted, filtered, filtersOf, isFiltered, NO_FILTERS, urgency } from "./list";
import { view } from "./testing";

const changes = [
  view({ id: 3, credential: "deploy", credential_id: 1, state: "interrupted" }),
  view({ id: 2, credential: "backup", credential_id: 2, state: "changed", kind: "install" }),
  view({ id: 1, credential: "deploy", credential_id: 1, state: "changed", requested_by: "josé@desk" }),
];
const ids = (filters: Partial<typeof NO_FILTERS>) => filtered(changes, { ...NO_FILTERS, ...filters }).map((each) => each.id);

test("every filter narrows the list, and none keeps it whole", () => {
  expect(ids({})).toEqual([3, 2, 1]);
  expect(ids({ states: ["changed"] })).toEqual([2, 1]);
  expect(ids({ states: ["changed", "interrupted"], credentials: ["1"] })).toEqual([3, 1]);
  expect(ids({ kinds: ["install"] })).toEqual([2]);
  expect(ids({ states: ["failed"] })).toEqual([]);
});

test("the search looks at names, people and numbers, without accents", () => {
  expect(ids({ text: " Jose " })).toEqual([1]);
  expect(ids({ text: "back" })).toEqual([2]);
  expect(ids({ text: "3" })).toEqual([3]);
});

test("an address narrows the list", () => {
  const filters = filtersOf({ state: "interrupted,failed", credential: "1" });
  expect(filters).toMatchObject({ states: ["interrupted", "failed"], credentials: ["1"], kinds: [] });
  expect([isFiltered(filters), isFiltered(filtersOf({}))]).toEqual([true, false]);
});

test("a part of the chart of weeks leads to the changes that it has counted", () => {
  const of = (id: number, started: string, state: "failed" | "changed") => view({ id, started, state });
  const all = [
    of(1, new Date(2026, 10, 23, 0, 30).toISOString(), "failed"),
    of(2, new Date(2026, 10, 29, 23, 30).toISOString(), "failed"),
    of(3, new Date(2026, 10, 30, 0, 30).toISOString(), "failed"),
    of(4, new Date(2026, 10, 24).toISOString(), "changed"),
  ];
  const found = (query: Record<string, string>) => filtered(all, filtersOf(query)).map((each) => each.id);
  expect(found({ week: "2026-11-23", outcome: "failed" })).toEqual([1, 2]);
  expect(isFiltered(filtersOf({ week: "2026-11-23" }))).toBe(true);
  expect(filtersOf({ week: "last" }).week, "no such week").toBeNull();
});

test("values are counted, what needs a look first", () => {
  expect(counted(["changed", "interrupted", "changed"] as const, (a, b) => urgency(a) - urgency(b))).toEqual([
    { value: "interrupted", count: 1 },
    { value: "changed", count: 2 },
  ]);
});
