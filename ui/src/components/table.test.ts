import { expect, test } from "vitest";

import { drawn, HEAD, inSight, led, Sorted, turned } from "./table";

test("draws what is in sight and a little beyond, never more than there is", () => {
  expect(drawn(0, 400, 40, 10_000)).toEqual({ first: 0, end: 23 });
  expect(drawn(4000, 400, 40, 10_000)).toEqual({ first: 94, end: 117 });
  expect(drawn(400_000, 400, 40, 10_000)).toEqual({ first: 9977, end: 10_000 });
  expect(drawn(0, 400, 40, 3)).toEqual({ first: 0, end: 3 });
  expect(drawn(4010, 400, 40, 10_000, 0), "a row cut at an edge is missing").toEqual({ first: 100, end: 111 });
  expect(drawn(900, 400, 40, 0)).toEqual({ first: 0, end: 0 });
});

test("draws no more than 60 rows in the highest window", () => {
  const { first, end } = drawn(8000, 10_000, 36, 10_000);
  expect(end - first).toBeLessThanOrEqual(60);
});

test("keys lead from row to row and stop at the ends", () => {
  const from = (key: string, active: number) => led(key, active, 100, 10);
  expect(["ArrowDown", "ArrowUp", "PageDown", "PageUp", "Home", "End"].map((key) => from(key, 5))).toEqual([
    6, 4, 15, 0, 0, 99,
  ]);
  expect(from("ArrowDown", 99)).toBe(99);
  expect(from("ArrowUp", 0)).toBe(0);
  expect(from("a", 5)).toBeNull();
  expect(led("ArrowDown", 0, 0, 10)).toBeNull();
});

test("scrolls no further than a row needs, and keeps it clear of the header", () => {
  const height = 400 + HEAD;
  expect(inSight(3, 0, height, 40)).toBe(0);
  expect(inSight(3, 200, height, 40)).toBe(120);
  expect(inSight(10, 0, height, 40)).toBe(40);
});

test("a header pressed again turns the order", () => {
  const first = turned(null, "name");
  expect(first).toEqual({ column: "name", direction: "ascending" });
  expect(turned(first, "name").direction).toBe("descending");
  expect(turned(turned(first, "name"), "name").direction).toBe("ascending");
  expect(turned(turned(first, "name"), "state")).toEqual({ column: "state", direction: "ascending" });
});

test("rows that were sorted are narrowed without being compared again", () => {
  let compared = 0;
  const order = (a: { name: string }, b: { name: string }) => {
    compared += 1;
    return a.name.localeCompare(b.name);
  };
  const rows = ["c", "a", "d", "b"].map((name) => ({ name }));
  const names = (of: readonly { name: string }[]) => of.map((row) => row.name).join("");
  const sorted = new Sorted<{ name: string }>();
  expect(names(sorted.of(rows, order, "ascending"))).toBe("abcd");
  const before = compared;
  expect(names(sorted.of(rows.filter((row) => row.name !== "b"), order, "ascending"))).toBe("acd");
  expect(names(sorted.of(rows, order, "ascending")), "clearing the search brings all back").toBe("abcd");
  expect(compared, "a key press compares every name again").toBe(before);
  expect(names(sorted.of([...rows, { name: "aa" }], order, "ascending")), "a row that is new").toBe("aaabcd");
  expect(names(sorted.of(rows, order, "descending"))).toBe("dcba");
  expect(names(sorted.of(rows, (a, b) => a.name.length - b.name.length, "ascending")), "another column").toBe("cadb");
});
