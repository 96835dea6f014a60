import { render, screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test } from "vitest";

import { notices } from "../../app/notices.svelte";
import { router } from "../../app/router.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { CredentialRow } from "../../generated/CredentialRow";
import { catalogue } from "../../messages/catalogue.svelte";
import CredentialList from "./CredentialList.svelte";
import WithBackend from "../../backend/WithBackend.svelte";
import { report, row } from "./sample";

let stop: () => void;

beforeEach(() => {
  window.history.replaceState(null, "", "#/credentials");
  stop = router.start();
});

afterEach(() => {
  stop();
  catalogue.choose("en");
});

const rows = [
  row({ id: 1, name: "deploy", state: "on-request" }),
  row({ id: 2, name: "backup", state: "interrupted", owner: null, owner_id: null }),
  row({ id: 3, name: "root", kind: "password", state: "up-to-date" }),
  row({ id: 4, name: "web", state: "up-to-date" }),
];

function list(credentials: CredentialRow[], calls: Partial<Backend> = {}, query: Record<string, string> = {}) {
  const backend = fakeBackend({ credentials: () => Promise.resolve(credentials), ...calls });
  return render(WithBackend, { backend, view: CredentialList as never, given: { covered: false, query } });
}

const names = () => screen.getAllByRole("row").slice(1).map((line) => line.getAttribute("aria-label"));

test("the worst state comes first, and a state is said in a word", async () => {
  list(rows);
  expect(await screen.findByRole("row", { name: "backup" })).toHaveProperty("textContent", expect.stringContaining("Interrupted"));
  expect(names()).toEqual(["backup", "deploy", "root", "web"]);
  expect(screen.getByRole("columnheader", { name: "State" }).getAttribute("aria-sort")).toBe("ascending");
});

test("the next change is told with its reason, and none for what is changed on request", async () => {
  const at = new Date(Date.now() + 3 * 86_400_000 + 60_000).toISOString();
  const next_change_reason = { kind: "age" as const, days: 90, since: "2026-03-03T10:00:00Z" };
  list([row({ id: 1, name: "web", state: "overdue", next_change: at, next_change_due: at, next_change_reason }), row({ id: 2 })]);
  const due = await screen.findByRole("row", { name: "web" });
  expect(within(due).getByText("in 3 days").getAttribute("title")).toContain("90 days after Mar 3, 2026");
  expect(within(due).getByText("Overdue")).toBeTruthy();
  expect(screen.getByRole("row", { name: "deploy" }).textContent).not.toContain("days after");
  await userEvent.click(screen.getByRole("button", { name: "Next change" }));
  expect(names()).toEqual(["web", "deploy"]);
});

test("a click on a column sorts by it", async () => {
  list(rows);
  await userEvent.click(await screen.findByRole("button", { name: "Name" }));
  expect(names()).toEqual(["backup", "deploy", "root", "web"]);
  await userEvent.click(screen.getByRole("button", { name: "Name" }));
  expect(names()).toEqual(["web", "root", "deploy", "backup"]);
});

test("the search narrows, says how many are left, and can be cleared", async () => {
  list(rows);
  await userEvent.type(await screen.findByRole("searchbox", { name: "Search credentials" }), "back");
  expect(names()).toEqual(["backup"]);
  expect(screen.getByText("1 of 4")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Clear filters" }));
  expect(names()).toHaveLength(4);
});

test("nothing that fits is told apart from no credentials", async () => {
  list(rows);
  await userEvent.type(await screen.findByRole("searchbox"), "zzz");
  expect(screen.getByRole("heading", { name: "No credential fits" })).toBeTruthy();
  expect(screen.queryByRole("heading", { name: "Add your first credential" })).toBeNull();
});

test("an address with filters sets them", async () => {
  list(rows, {}, { state: "interrupted" });
  await screen.findByRole("row", { name: "backup" });
  expect(names()).toEqual(["backup"]);
});

test("an address without filters leaves those that were chosen", async () => {
  const view = list(rows, {}, { state: "interrupted" });
  await screen.findByRole("row", { name: "backup" });
  await view.rerender({ given: { covered: true, query: {} } });
  await view.rerender({ given: { covered: false, query: {} } });
  expect(names()).toEqual(["backup"]);
  await view.rerender({ given: { covered: false, query: { owner: "none", state: "up-to-date" } } });
  expect(screen.getByRole("heading", { name: "No credential fits" })).toBeTruthy();
});

test("one chosen key leads to its change, several to the change of them all, without the passwords", async () => {
  list(rows);
  await userEvent.click(await screen.findByRole("checkbox", { name: /deploy/ }));
  await userEvent.click(screen.getByRole("button", { name: "Change keys now" }));
  expect(window.location.hash).toBe("#/credentials/1/change");
  await userEvent.click(screen.getByRole("checkbox", { name: /all shown/i }));
  expect(screen.getByText("1 password left out")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Change keys now" }));
  expect(decodeURIComponent(window.location.hash)).toBe("#/credentials/change?ids=2,1,4".replace("2,1,4", "1,2,4"));
});

test("a password alone has no key to change", async () => {
  list(rows);
  await userEvent.click(await screen.findByRole("checkbox", { name: /root/ }));
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Change keys now" }).disabled).toBe(true);
});

test("what a filter hides is not chosen any more", async () => {
  list(rows);
  await userEvent.click(await screen.findByRole("checkbox", { name: /all shown/i }));
  await userEvent.type(screen.getByRole("searchbox"), "web");
  // web alone has it in its name; the others are found by their original device.
  await userEvent.clear(screen.getByRole("searchbox"));
  await userEvent.type(screen.getByRole("searchbox"), "backup");
  expect(screen.getByText("1 selected")).toBeTruthy();
  await userEvent.click(screen.getByRole("button", { name: "Change keys now" }));
  expect(window.location.hash, "a key that is not in sight would be changed").toBe("#/credentials/2/change");
});

test("nothing is offered for a selection while none is there", async () => {
  list(rows);
  await screen.findByRole("row", { name: "deploy" });
  expect(screen.queryByRole("button", { name: "Change keys now" })).toBeNull();
});

test("without credentials the first step is taught, and without devices the one before", async () => {
  list([], { devices: () => Promise.resolve([{ id: 1 } as never]) });
  expect(await screen.findByRole("heading", { name: "Add your first credential" })).toBeTruthy();
  expect(screen.queryByRole("heading", { name: "Add devices first" })).toBeNull();
});

test("without devices they are the first step", async () => {
  list([], { devices: () => Promise.resolve([]) });
  await userEvent.click(await screen.findByRole("button", { name: "Go to devices" }));
  expect(window.location.hash).toBe("#/devices");
});

test("a failure is told with what to do, and the list that was there stays", async () => {
  let fails = false;
  const error = new BackendError(report("database-locked", "The database can't be read.", "Close the other program."));
  list(rows, { credentials: () => (fails ? Promise.reject(error) : Promise.resolve(rows)) });
  await screen.findByRole("row", { name: "deploy" });
  fails = true;
  notices.hand({ notice: "catalogue" });
  expect((await screen.findByRole("alert")).textContent).toContain("Close the other program.");
  expect(screen.getByRole("row", { name: "deploy" })).toBeTruthy();
});

test("names are text, whatever they hold", async () => {
  list([row({ name: "<b>x</b> {y} 🔑 שלום" })]);
  expect(await screen.findByText("<b>x</b> {y} 🔑 שלום")).toBeTruthy();
});

test("in Portuguese it speaks Portuguese", async () => {
  catalogue.choose("pt-BR");
  list(rows);
  const line = await screen.findByRole("row", { name: "backup" });
  expect(within(line).getByText("Interrompida")).toBeTruthy();
  expect(screen.getByRole("button", { name: "Nova credencial" })).toBeTruthy();
});

test("2,000 rows are few in the page, and all of them can be chosen", async () => {
  const many = Array.from({ length: 2000 }, (_, id) => row({ id: id + 1, name: `c${id}` }));
  list(many);
  await screen.findByRole("row", { name: "c0" });
  expect(screen.getAllByRole("row").length).toBeLessThan(70);
  await userEvent.click(screen.getByRole("checkbox", { name: /all shown/i }));
  expect(screen.getByText("2000 selected", { exact: false, normalizer: (text) => text.replace(/\D(?=\d{3})/, "") })).toBeTruthy();
});

test("the list is accessible", async () => {
  const { container } = list(rows);
  await screen.findByRole("row", { name: "deploy" });
  const found = await axe.run(container, { rules: { region: { enabled: false }, "color-contrast": { enabled: false } } });
  expect(found.violations.map((violation) => `${violation.id}: ${violation.nodes[0]?.html}`)).toEqual([]);
});
