import { render, screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { router } from "../../app/router.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { CsvDraft } from "../../generated/CsvDraft";
import type { Preview } from "../../generated/Preview";
import { catalogue } from "../../messages/catalogue.svelte";
import DevicesScreen from "./DevicesScreen.svelte";
import { deviceRow, report } from "./fixtures";
import { importedIds, touched } from "./importing";
import WithBackend from "../../backend/WithBackend.svelte";

let stop: () => void;
beforeEach(() => {
  window.location.hash = "#/devices/import";
  stop = router.start();
});
afterEach(() => {
  stop();
  catalogue.choose("en");
});

const PREVIEW: Preview = {
  new: [
    { line: 2, name: "web-1", address: "192.0.2.1", port: 22 },
    { line: 3, name: "web-2", address: "192.0.2.2", port: 2222 },
  ],
  changed: [{ line: 4, name: "db-1", columns: ["port", "tags"] }],
  unchanged: ["db-2"],
  bad: [{ line: 7, name: "", error: report({ code: "name-empty", message: "The name is empty.", hint: "Give it a name." }) }],
};
const draft = (given: Partial<Preview> = {}, id = 5): CsvDraft => ({
  draft: id,
  file: "hosts.csv",
  preview: { ...PREVIEW, ...given },
});

function opened(more: Partial<Backend> = {}) {
  const importDevices = vi.fn(() => Promise.resolve(PREVIEW));
  const dropDraft = vi.fn(() => Promise.resolve());
  const backend = fakeBackend({
    devices: () => Promise.resolve([deviceRow(1), deviceRow(2), deviceRow(8, { name: "db-1" }), deviceRow(9, { name: "db-2" })]),
    chooseCsv: () => Promise.resolve(draft()),
    importDevices,
    dropDraft,
    copy: () => Promise.resolve(),
    ...more,
  });
  render(WithBackend, { backend, view: DevicesScreen });
  return { user: userEvent.setup(), importDevices, dropDraft };
}

const choose = async (user: ReturnType<typeof userEvent.setup>) =>
  user.click(await screen.findByRole("button", { name: "Choose file…" }));

test("what was touched is found in the list by its name", () => {
  expect(touched(PREVIEW)).toBe(3);
  expect(importedIds(PREVIEW, [deviceRow(1), deviceRow(8, { name: "db-1" }), deviceRow(9, { name: "db-2" })])).toEqual([1, 8]);
});

test("the format is explained before a file is chosen", async () => {
  opened();
  expect(await screen.findByText(/name,address,port,jump,tags,authorized_keys_path,host_key/)).toBeTruthy();
  expect(screen.queryByRole("tab")).toBeNull();
});

test("a preview says what is new, changed, unchanged and bad, and imports nothing", async () => {
  const { user, importDevices } = opened();
  await choose(user);
  expect(await screen.findByText(/2 new devices, 1 changed, 1 unchanged, 1 bad row\./)).toBeTruthy();
  expect(screen.getByRole("row", { name: "Line 3, web-2" }).textContent).toContain("192.0.2.2");
  await user.click(screen.getByRole("tab", { name: "Changed (1)" }));
  expect(screen.getByRole("row", { name: "Line 4, db-1" }).textContent).toContain("port, tags");
  await user.click(screen.getByRole("tab", { name: /Bad rows \(1\)/ }));
  const bad = screen.getByRole("row", { name: "Line 7, (no name)" });
  expect(bad.textContent).toContain("The name is empty.");
  expect(bad.textContent).toContain("Give it a name.");
  expect(importDevices).not.toHaveBeenCalled();
});

test("the confirmed draft is imported, and its devices can be scanned next", async () => {
  const { user, importDevices, dropDraft } = opened();
  await choose(user);
  await user.click(await screen.findByRole("button", { name: "Import 3 devices" }));
  expect(await screen.findByText("3 devices are imported")).toBeTruthy();
  expect(importDevices).toHaveBeenCalledExactlyOnceWith(5);
  await user.click(screen.getByRole("button", { name: "Scan host keys" }));
  await waitFor(() => expect(decodeURIComponent(window.location.hash)).toBe("#/devices/scan?ids=1,2,8"));
  expect(dropDraft, "what was imported is no draft").not.toHaveBeenCalled();
});

test("an import that fails is no success, and its preview stays", async () => {
  const changed = new BackendError(report({ code: "import-changed", message: "It would do something else now." }));
  const { user } = opened({ importDevices: () => Promise.reject(changed) });
  await choose(user);
  await user.click(await screen.findByRole("button", { name: "Import 3 devices" }));
  await screen.findByText("It would do something else now.");
  expect(screen.queryByText(/are imported/)).toBeNull();
  expect(screen.getByRole("tab", { name: "New (2)" })).toBeTruthy();
});

test("a file that changes nothing can't be imported, and the page says why", async () => {
  const { user } = opened({ chooseCsv: () => Promise.resolve(draft({ new: [], changed: [] })) });
  await choose(user);
  const button = await screen.findByRole<HTMLButtonElement>("button", { name: "Import 0 devices" });
  expect(button.disabled).toBe(true);
  expect(screen.getByText(/There is nothing to import/)).toBeTruthy();
});

test("a file that can't be read says why, and another can be chosen", async () => {
  const { user } = opened({ chooseCsv: () => Promise.reject(new BackendError(report({ message: "The file is not UTF-8." }))) });
  await choose(user);
  await screen.findByText("The file is not UTF-8.");
  expect(screen.getByRole("button", { name: "Choose file…" })).toBeTruthy();
});

test("choosing no file changes nothing", async () => {
  const { user, dropDraft } = opened({ chooseCsv: () => Promise.resolve(null) });
  await choose(user);
  expect(screen.getByRole("button", { name: "Choose file…" })).toBeTruthy();
  router.replace("devices");
  await screen.findByRole("grid", { name: "Devices" });
  expect(dropDraft).not.toHaveBeenCalled();
});

test("a draft is dropped when another file is chosen, and when the page is left", async () => {
  let next = 5;
  const { user, dropDraft } = opened({ chooseCsv: () => Promise.resolve(draft({}, next++)) });
  await choose(user);
  await user.click(await screen.findByRole("button", { name: "Choose another file…" }));
  await waitFor(() => expect(dropDraft.mock.calls).toEqual([[5]]));
  router.replace("devices");
  await waitFor(() => expect(dropDraft.mock.calls).toEqual([[5], [6]]));
});

test("ten thousand rows are few in the page", async () => {
  const many = Array.from({ length: 9950 }, (_, index) => ({ line: index + 2, name: `h-${index}`, address: "192.0.2.1", port: 22 }));
  const { user } = opened({ chooseCsv: () => Promise.resolve(draft({ new: many, changed: [] })) });
  await choose(user);
  expect(await screen.findByRole("button", { name: "Import 9,950 devices" })).toBeTruthy();
  expect(within(screen.getByRole("tabpanel")).getAllByRole("row").length).toBeLessThan(70);
});

test.each(["en", "pt-BR"] as const)("the import is accessible in %s", async (language) => {
  catalogue.choose(language);
  const { user } = opened();
  const rules = { "color-contrast": { enabled: false }, region: { enabled: false } };
  const wrong = async () => (await axe.run(document.body, { rules })).violations.map((each) => each.id);
  const button = await screen.findByRole("button", { name: language === "en" ? "Choose file…" : "Escolher arquivo…" });
  expect(await wrong()).toEqual([]);
  await user.click(button);
  await screen.findAllByRole("tab");
  expect(await wrong()).toEqual([]);
});
