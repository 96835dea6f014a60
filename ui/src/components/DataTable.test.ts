import { render, screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { createRawSnippet } from "svelte";
import { expect, test, vi } from "vitest";

import DataTable from "./DataTable.svelte";

interface Host {
  id: number;
  name: string;
}

const cell = createRawSnippet((row: () => Host) => ({ render: () => `<span>${row().name}</span>` }));
const numbered = createRawSnippet((row: () => Host) => ({ render: () => `<span>${row().id}</span>` }));

function hosts(count: number): Host[] {
  return Array.from({ length: count }, (_, index) => ({ id: index, name: `host-${index}` }));
}

function shown(rows: Host[], more: object = {}) {
  return render(DataTable<Host, number>, {
    label: "Devices",
    rows,
    rowKey: (row: Host) => row.id,
    rowLabel: (row: Host) => row.name,
    columns: [
      { id: "name", label: "Name", sort: (a: Host, b: Host) => a.name.localeCompare(b.name), cell },
      { id: "id", label: "ID", sort: (a: Host, b: Host) => a.id - b.id, cell: numbered },
    ],
    selectable: true,
    ...more,
  });
}

const bodyRows = () => screen.getAllByRole("row").slice(1);
const row = (name: string) => screen.getByRole("row", { name });

test("draws a window of ten thousand rows and says how many there are", () => {
  shown(hosts(10_000));

  expect(bodyRows().length).toBeLessThanOrEqual(60);
  expect(bodyRows().length, "the first rows are not drawn").toBeGreaterThan(10);
  expect(screen.getByRole("grid", { name: "Devices" }).getAttribute("aria-rowcount")).toBe("10001");
  expect(row("host-0").getAttribute("aria-rowindex")).toBe("2");
});

test("one row is in the tab order, and keys move it to either end", async () => {
  const user = userEvent.setup();
  shown(hosts(10_000));

  expect(bodyRows().filter((each) => each.tabIndex === 0)).toEqual([row("host-0")]);
  row("host-0").focus();
  await user.keyboard("{ArrowDown}{ArrowDown}{ArrowUp}");
  expect(document.activeElement).toBe(row("host-1"));
  await user.keyboard("{End}");
  expect(document.activeElement).toBe(row("host-9999"));
  expect(bodyRows().length, "a far row makes the table draw more").toBeLessThanOrEqual(60);
  await user.keyboard("{Home}");
  expect(document.activeElement).toBe(row("host-0"));
  expect(bodyRows().filter((each) => each.tabIndex === 0).length).toBe(1);
});

test("Enter and a click open the row, the box does not", async () => {
  const user = userEvent.setup();
  const onopen = vi.fn();
  shown(hosts(3), { onopen });

  row("host-1").focus();
  await user.keyboard("{Enter}");
  await user.click(screen.getByText("host-2"));
  await user.click(screen.getByRole("checkbox", { name: "Select host-0" }));
  expect(onopen.mock.calls.map(([opened]) => (opened as Host).id)).toEqual([1, 2]);
});

test("Space chooses, and all that is shown is chosen at once", async () => {
  const user = userEvent.setup();
  shown(hosts(10_000));
  const all = screen.getByRole<HTMLInputElement>("checkbox", { name: "Select all shown" });

  row("host-0").focus();
  await user.keyboard(" ");
  expect(row("host-0").getAttribute("aria-selected")).toBe("true");
  expect(all.indeterminate, "one of many counts as all or none").toBe(true);

  await user.click(all);
  expect(all.checked && !all.indeterminate).toBe(true);
  expect(bodyRows().every((each) => each.getAttribute("aria-selected") === "true")).toBe(true);
  await user.keyboard(" ");
  expect(bodyRows().some((each) => each.getAttribute("aria-selected") === "true")).toBe(false);
});

test("choosing all that is shown keeps what is chosen and not shown", async () => {
  const user = userEvent.setup();
  let selected: ReadonlySet<number> = new Set([77]);
  render(DataTable<Host, number>, {
    label: "Devices",
    rows: hosts(2),
    rowKey: (each: Host) => each.id,
    rowLabel: (each: Host) => each.name,
    columns: [{ id: "name", label: "Name", cell }],
    selectable: true,
    get selected() {
      return selected;
    },
    set selected(next: ReadonlySet<number>) {
      selected = next;
    },
  });

  await user.click(screen.getByRole("checkbox", { name: "Select all shown" }));
  expect([...selected].sort((a, b) => a - b)).toEqual([0, 1, 77]);
});

test("Shift chooses from the last chosen row to this one", async () => {
  const user = userEvent.setup();
  shown(hosts(6));

  await user.click(screen.getByRole("checkbox", { name: "Select host-1" }));
  await user.keyboard("{Shift>}");
  await user.click(screen.getByRole("checkbox", { name: "Select host-4" }));
  await user.keyboard("{/Shift}");
  expect(bodyRows().map((each) => each.getAttribute("aria-selected"))).toEqual([
    "false",
    "true",
    "true",
    "true",
    "true",
    "false",
  ]);
});

test("a header sorts, and turns the order when pressed again", async () => {
  const user = userEvent.setup();
  shown(hosts(12));
  const header = screen.getByRole("columnheader", { name: "ID" });

  await user.click(within(header).getByRole("button"));
  expect(header.getAttribute("aria-sort")).toBe("ascending");
  await user.click(within(header).getByRole("button"));
  expect(header.getAttribute("aria-sort")).toBe("descending");
  const first = bodyRows().find((each) => each.getAttribute("aria-rowindex") === "2");
  expect(first?.getAttribute("aria-label")).toBe("host-11");
});

test("an empty table says so, and neither is a fault to axe", async () => {
  const empty = createRawSnippet(() => ({ render: () => "<p>No devices</p>" }));
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  const { container, rerender } = shown(hosts(5), { empty });
  expect(screen.queryByText("No devices")).toBeNull();
  expect((await axe.run(container, rules)).violations).toEqual([]);

  await rerender({ rows: [] });
  expect(screen.getByText("No devices")).toBeTruthy();
  expect((await axe.run(container, rules)).violations).toEqual([]);
});

test("a fixed row keeps its choice, whatever is chosen", async () => {
  const user = userEvent.setup();
  const fixed = (each: Host) => each.id === 1;
  shown(hosts(3), { selected: new Set([1]), fixed });

  const box = within(row("host-1")).getByRole<HTMLInputElement>("checkbox");
  expect(box.disabled).toBe(true);
  row("host-1").focus();
  await user.keyboard(" ");
  expect(row("host-1").getAttribute("aria-selected")).toBe("true");
  await user.click(screen.getByRole("checkbox", { name: "Select all shown" }));
  await user.click(screen.getByRole("checkbox", { name: "Select all shown" }));
  expect([0, 1, 2].map((id) => row(`host-${id}`).getAttribute("aria-selected"))).toEqual(["false", "true", "false"]);
});

test("rows that can't be chosen have no box, and “all” means the others", async () => {
  const user = userEvent.setup();
  shown(hosts(3), { canSelect: (host: Host) => host.id !== 1 });

  expect(within(row("host-1")).queryByRole("checkbox"), "what can't be chosen offers itself").toBeNull();
  const all = screen.getByRole("checkbox", { name: "Select all shown" });
  await user.click(all);
  expect(screen.getAllByRole<HTMLInputElement>("checkbox").map((box) => box.checked)).toEqual([true, true, true]);
  expect(row("host-1").getAttribute("aria-selected")).toBeNull();
  row("host-0").focus();
  await user.keyboard("{ArrowDown} ");
  expect((all as HTMLInputElement).checked, "a key chose what can't be chosen").toBe(true);
});

test("whoever has more rows is asked for them when the last ones are drawn, and only then", async () => {
  const onend = vi.fn();
  const { rerender } = shown(hosts(200), { onend });
  expect(onend, "the first rows asked for more than they show").not.toHaveBeenCalled();
  expect(screen.getByRole("grid").getAttribute("aria-rowcount"), "nobody knows how many follow").toBe("-1");

  row("host-0").focus();
  await userEvent.setup().keyboard("{End}");
  expect(onend).toHaveBeenCalledOnce();
  await rerender({ rows: hosts(400) });
  expect(onend, "more rows moved the end away").toHaveBeenCalledOnce();
  await rerender({ rows: hosts(10) });
  expect(onend, "rows that end in sight").toHaveBeenCalledTimes(2);
  await rerender({ onend: undefined });
  expect(screen.getByRole("grid").getAttribute("aria-rowcount")).toBe("11");
});
