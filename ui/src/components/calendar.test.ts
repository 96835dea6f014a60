import { render, screen, within } from "@testing-library/svelte";
import axe from "axe-core";
import { createRawSnippet } from "svelte";
import { expect, test } from "vitest";

import Calendar from "./Calendar.svelte";
import { dateOf, dayOfMonth, daysAfter, weekdayOf, weeksOf } from "./calendar";

const days = (first: string, count: number) => Array.from({ length: count }, (_, index) => ({ date: daysAfter(first, index) }));

test("a week begins on Monday, and what is not asked for stays empty", () => {
  // 3 March 2027 is a Wednesday.
  const weeks = weeksOf(days("2027-03-03", 7));
  expect(weeks.map((week) => week.map((day) => day?.date.slice(8) ?? ""))).toEqual([
    ["", "", "03", "04", "05", "06", "07"],
    ["08", "09", "", "", "", "", ""],
  ]);
  expect(weeksOf([])).toEqual([]);
});

test("days follow one another over the ends of months, leap days and switches of the clocks", () => {
  expect(daysAfter("2028-02-28", 1)).toBe("2028-02-29");
  expect(daysAfter("2027-02-28", 1)).toBe("2027-03-01");
  expect(new Set(days("2027-03-01", 400).map((day) => day.date)).size).toBe(400);
  expect([weekdayOf("2027-03-01"), weekdayOf("2027-03-07"), dayOfMonth("2027-03-07")]).toEqual([0, 6, 7]);
  expect(dateOf(new Date(2027, 2, 3, 23, 59))).toBe("2027-03-03");
});

test("a calendar is a table with a day in each cell", async () => {
  const cell = createRawSnippet<[{ date: string }]>((day) => ({ render: () => `<span>the ${day().date}</span>` }));
  const { container } = render(Calendar, { label: "March", days: days("2027-03-03", 7), cell: cell as never });
  const table = screen.getByRole("table", { name: "March" });
  const names = within(table).getAllByRole("columnheader").map((head) => head.textContent?.trim());
  expect(names).toEqual(["Week of", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
  expect(within(table).getAllByRole("rowheader").map((head) => head.textContent?.trim())).toEqual(["Mar 3", "Mar 8"]);
  expect(within(table).getByText("the 2027-03-09")).toBeTruthy();
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  expect((await axe.run(container, rules)).violations).toEqual([]);
});
