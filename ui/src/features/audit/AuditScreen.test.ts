import { render, screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { tick } from "svelte";
import { afterEach, expect, test, vi } from "vitest";

import { notices } from "../../app/notices.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { Verdict } from "../../generated/Verdict";
import { catalogue } from "../../messages/catalogue.svelte";
import WithBackend from "../../backend/WithBackend.svelte";
import AuditScreen from "./AuditScreen.svelte";
import { record, records, served } from "./sample";

afterEach(() => catalogue.choose("en"));

function shown(rows = records(3), more: Partial<Backend> = {}) {
  const audit = vi.fn(served(rows));
  const copy = vi.fn(async () => undefined);
  const backend = fakeBackend({ audit, copy, ...more });
  return { audit, copy, ...render(WithBackend, { backend, view: AuditScreen as never, given: {} }) };
}

const withoutContrast = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
const rowOf = (subject: string) => screen.findByRole("row", { name: new RegExp(`, ${subject},`) });

test("each row says when, who, what, to which thing and how it ended, the newest first", async () => {
  const refused = record(2, { result: "refused", code: "bad-address", subject: "web-2" });
  const failed = record(1, { action: "stage-add", result: "failed", code: "stage-failed", subject: "web-1" });
  const { container } = shown([record(3), refused, failed]);
  await rowOf("web-3");
  const rows = screen.getAllByRole("row").slice(1);
  expect(rows.map((row) => within(row).getAllByRole("gridcell").slice(1).map((cell) => cell.textContent?.trim()))).toEqual([
    ["ana@desk", "device-add", "web-3 Device", "Done", ""],
    ["ana@desk", "device-add", "web-2 Device", "Refused", "bad-address"],
    ["ana@desk", "stage-add", "web-1 Device", "Failed", "stage-failed"],
  ]);
  expect(screen.getByText("3 rows")).toBeTruthy();
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("older rows are read when the end comes in sight, and how many there are is known before", async () => {
  const { audit } = shown(records(450));
  (await rowOf("web-450")).focus();
  expect(screen.getByText("450 rows")).toBeTruthy();
  expect(audit).toHaveBeenCalledOnce();
  await userEvent.setup().keyboard("{End}");
  await vi.waitFor(() => expect(audit).toHaveBeenLastCalledWith({ search: "", before: 251, limit: 200 }));
});

test("a row opens with all that it holds, as text", async () => {
  const user = userEvent.setup();
  const { copy } = shown([record(1, { detail: { note: "<b>not markup</b>", list: [1] } })]);
  await user.click(await rowOf("web-1"));
  const dialog = await screen.findByRole("dialog", { name: "Row 1" });
  const json = '{\n  "note": "<b>not markup</b>",\n  "list": [\n    1\n  ]\n}';
  expect(dialog.querySelector("pre")?.textContent).toBe(json);
  await user.click(within(dialog).getByRole("button", { name: "Copy: Detail" }));
  expect(copy).toHaveBeenCalledWith(json);
  await user.keyboard("{Escape}");
  await vi.waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

test("a row without detail or code shows neither", async () => {
  shown([record(1, { detail: null })]);
  await userEvent.setup().click(await rowOf("web-1"));
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).queryByText("Detail")).toBeNull();
  expect(within(dialog).queryByText("Code")).toBeNull();
});

test("the search is Rust's, and a search that finds nothing says so", async () => {
  const user = userEvent.setup();
  const { audit } = shown(records(30));
  await rowOf("web-30");
  await user.type(screen.getByRole("searchbox", { name: "Search the audit" }), "web-2");
  expect(await screen.findByText("11 rows found")).toBeTruthy();
  expect(audit).toHaveBeenLastCalledWith({ search: "web-2", before: null, limit: 200 });
  await user.type(screen.getByRole("searchbox"), "x");
  expect(await screen.findByText("No row matches")).toBeTruthy();
  expect(screen.getByText(/contains “web-2x”/)).toBeTruthy();
});

test("an audit without rows says what will be in it", async () => {
  shown([]);
  expect(await screen.findByText("Nothing has been done yet")).toBeTruthy();
});

type Whole = Extract<Verdict, { chain: "whole" }>;

function whole(more: Partial<Whole>): Verdict {
  const anchored: Omit<Whole, "rows" | "head"> = {
    chain: "whole",
    anchor: "holds",
    anchored_row: 12,
    not_yet_anchored: 0,
    lost: [],
    unread: null,
  };
  return { rows: 12, head: "abc123", ...anchored, ...more };
}

test("a chain that could not be compared with the keyring is not called whole", async () => {
  const unread = { code: "keyring-locked", message: "The keyring is locked.", hint: "Unlock it.", subject: null };
  const verdict = whole({ anchor: "unread", anchored_row: null, not_yet_anchored: null, unread });
  const { container } = shown(records(1), { verifyAudit: async () => verdict });
  await rowOf("web-1");
  await userEvent.setup().click(screen.getByRole("button", { name: "Verify chain" }));
  expect(await screen.findByText(/whole as far as the file tells: 12 rows/)).toBeTruthy();
  expect(screen.queryByText(/as they were written/)).toBeNull();
  expect(screen.getByText("The keyring is locked.")).toBeTruthy();
  expect(screen.getByText("Unlock it.")).toBeTruthy();
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("rows that were written anew are not vouched for by those before", async () => {
  catalogue.choose("pt-BR");
  shown(records(1), { verifyAudit: async () => ({ chain: "broken", first: { problem: "rewritten", id: 9 } }) });
  await rowOf("web-1");
  await userEvent.setup().click(screen.getByRole("button", { name: "Verificar cadeia" }));
  expect(await screen.findByText("A cadeia está rompida: a linha 9 não é a que está ancorada no chaveiro.")).toBeTruthy();
  expect(screen.getByText(/As linhas combinam entre si/)).toBeTruthy();
  expect(screen.queryByText(/anteriores estão íntegras/)).toBeNull();
});

test.each<[Verdict, RegExp]>([
  [whole({ rows: 1234 }), /The chain is whole: 1,234 rows/],
  [whole({ rows: 0, head: null }), /there is nothing to verify/],
  [whole({}), /The keyring vouches for every row\./],
  [whole({ anchored_row: 1200, not_yet_anchored: 1 }), /up to row 1,200; 1 row is not yet anchored/],
  [whole({ anchored_row: 7, not_yet_anchored: 5 }), /up to row 7; 5 rows are not yet anchored/],
  [whole({ anchor: "not-yet", anchored_row: null, not_yet_anchored: 12 }), /No row is anchored in the keyring yet/],
  [whole({ anchor: "before-restore", anchored_row: null, not_yet_anchored: 12 }), /before a backup was restored; no row/],
  [whole({ lost: [{ segment: 5, from: 5, to: 9 }] }), /Rows 5 to 9 were lost when a backup was restored, as row 5 says/],
  [{ chain: "broken", first: { problem: "rewritten", id: 16 } }, /row 16 is not the one that is anchored/],
  [{ chain: "broken", first: { problem: "changed", id: 17 } }, /row 17 is not as it was written/],
  [{ chain: "broken", first: { problem: "missing", id: 18 } }, /row 18 is missing/],
])("verifying says %j in a sentence", async (verdict, sentence) => {
  const user = userEvent.setup();
  let answer: (verdict: Verdict) => void = () => undefined;
  shown(records(1), { verifyAudit: () => new Promise((resolve) => (answer = resolve)) });
  await rowOf("web-1");
  await user.click(screen.getByRole("button", { name: "Verify chain" }));
  expect(screen.getByText("Verifying the chain, row by row")).toBeTruthy();
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Verify chain" }).disabled).toBe(true);
  answer(verdict);
  expect(await screen.findByText(sentence)).toBeTruthy();
  expect(screen.queryByText(/Verifying/)).toBeNull();
  const whole = verdict.chain === "whole" && verdict.head !== null;
  expect(screen.queryByText("abc123") !== null, "the head stands by a whole chain only").toBe(whole);
  expect(screen.queryByRole("alert") !== null, "a broken chain is an alert").toBe(verdict.chain === "broken");
});

test("a broken chain is told in Portuguese, too", async () => {
  catalogue.choose("pt-BR");
  shown(records(1), { verifyAudit: async () => ({ chain: "broken", first: { problem: "missing", id: 2 } }) });
  await rowOf("web-1");
  await userEvent.setup().click(screen.getByRole("button", { name: "Verificar cadeia" }));
  expect(await screen.findByText("A cadeia está rompida: falta a linha 2.")).toBeTruthy();
  expect(screen.getByText(/A linha anterior está íntegra/)).toBeTruthy();
});

test("an export says where the file is; none chosen says nothing", async () => {
  const user = userEvent.setup();
  const exportAudit = vi.fn<Backend["exportAudit"]>(async () => null);
  const { copy } = shown(records(3), { exportAudit });
  await rowOf("web-3");
  const choose = async (format: string) => {
    await user.click(screen.getByRole("button", { name: "Export…" }));
    await user.click(await screen.findByRole("menuitem", { name: format }));
  };
  await choose("CSV");
  await vi.waitFor(() => expect(exportAudit).toHaveBeenLastCalledWith("csv"));
  expect(screen.queryByText(/exported/)).toBeNull();

  exportAudit.mockResolvedValue({ file: "/home/ana/audit.json", rows: 3 });
  await choose("JSON");
  expect(await screen.findByText("3 rows were exported")).toBeTruthy();
  expect(exportAudit).toHaveBeenLastCalledWith("json");
  await user.click(screen.getByRole("button", { name: "Copy path" }));
  expect(copy).toHaveBeenCalledWith("/home/ana/audit.json");
});

test("what goes wrong stands on the page with its code", async () => {
  const report = { code: "file-exists", message: "The file exists.", hint: "Choose another.", subject: null };
  shown(records(1), { verifyAudit: () => Promise.reject(new BackendError(report)) });
  await rowOf("web-1");
  await userEvent.setup().click(screen.getByRole("button", { name: "Verify chain" }));
  expect(await screen.findByText("The file exists.")).toBeTruthy();
  expect(screen.getByText("Choose another.")).toBeTruthy();
});

test("rows that can't be read are asked for again on request", async () => {
  let fail = true;
  const serve = served(records(2));
  shown([], { audit: (filter) => (fail ? Promise.reject(new Error("busy")) : serve(filter)) });
  expect(await screen.findByText("busy")).toBeTruthy();
  fail = false;
  await userEvent.setup().click(screen.getByRole("button", { name: "Try again" }));
  expect(await rowOf("web-2")).toBeTruthy();
});

test("what is done meanwhile comes on top by itself", async () => {
  const rows = records(2);
  shown(rows);
  await rowOf("web-2");
  rows.unshift(record(3));
  notices.hand({ notice: "catalogue" });
  expect(await rowOf("web-3")).toBeTruthy();
});

test("a kind that this version does not know is shown as it is stored", async () => {
  shown([record(1, { subject_kind: "vault-lease", subject: "x" })]);
  await tick();
  expect(await screen.findByText("vault-lease")).toBeTruthy();
});
