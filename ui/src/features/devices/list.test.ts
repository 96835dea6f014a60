import { expect, test } from "vitest";

import { deviceRow } from "./fixtures";
import { byLastSeen, byStanding, byText, choices, filtered, filtersOf, narrows, NO_FILTERS, NOTHING, scanned } from "./list";

const rows = [
  deviceRow(1, { name: "web-10", tags: ["web", "prod"], credentials: ["deploy"], host_key_state: "pinned" }),
  deviceRow(2, { name: "web-2", tags: ["web"], enabled: false, host_key_state: "changed" }),
  deviceRow(3, { name: "josé", address: "db.example.org", credentials: ["backup"], last_seen: "2026-11-20T10:00:00Z" }),
];
const ids = (filters: Partial<typeof NO_FILTERS>) => filtered(rows, { ...NO_FILTERS, ...filters }).map((row) => row.id);

test("without filters everything is shown, and it is the same list", () => {
  expect(filtered(rows, NO_FILTERS)).toBe(rows);
});

test.each([
  ["jose", [3]],
  ["DB.example", [3]],
  ["web prod", [1]],
  ["backup", [3]],
  ["2", [1, 2]],
  ["nothing", []],
])("a search for “%s” finds %j", (text, found) => {
  expect(ids({ text })).toEqual(found);
});

test("each filter narrows, and all together", () => {
  expect(ids({ states: ["changed", "none"] })).toEqual([2, 3]);
  expect(ids({ tags: ["web"] })).toEqual([1, 2]);
  expect(ids({ tags: [NOTHING] })).toEqual([3]);
  expect(ids({ credentials: [NOTHING, "backup"] })).toEqual([2, 3]);
  expect(ids({ statuses: ["disabled"] })).toEqual([2]);
  expect(ids({ tags: ["web"], statuses: ["enabled"] })).toEqual([1]);
});

test("an address names filters", () => {
  expect(filtersOf({ state: "changed,none", tag: "a,b" })).toEqual({ ...NO_FILTERS, states: ["changed", "none"], tags: ["a,b"] });
  expect(narrows(filtersOf({}))).toBe(false);
  expect(narrows(filtersOf({ status: "disabled" }))).toBe(true);
});

test("a filter's choices are what devices have, counted", () => {
  expect(choices(rows, (row) => row.tags)).toEqual([
    { value: "prod", count: 1 },
    { value: "web", count: 2 },
    { value: NOTHING, count: 1 },
  ]);
  expect(choices([deviceRow(1)], (row) => row.tags), "there is nothing to choose between").toEqual([]);
});

test("names are in the order in which people count", () => {
  const names = [...rows].sort(byText(rows, (row) => row.name)).map((row) => row.name);
  expect(names).toEqual(["josé", "web-2", "web-10"]);
});

test("what asks for a decision comes first", () => {
  expect([...rows].sort(byStanding).map((row) => row.id)).toEqual([2, 3, 1]);
});

test("what was never seen comes before what was", () => {
  expect([...rows].sort(byLastSeen).map((row) => row.id)).toEqual([1, 2, 3]);
});

test("an address says which devices to scan", () => {
  expect(scanned({})).toBe("all");
  expect(scanned({ ids: "all" })).toBe("all");
  expect(scanned({ ids: "3,1" })).toEqual([3, 1]);
  expect(scanned({ ids: "x" }), "all would be scanned by mistake").toEqual([]);
});
