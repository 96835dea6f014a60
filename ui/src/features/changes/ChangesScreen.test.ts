import { screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { router } from "../../app/router.svelte";
import { fakeBackend } from "../../backend/fake";
import type { ChangeView } from "../../generated/ChangeView";
import type { CredentialRow } from "../../generated/CredentialRow";
import { catalogue } from "../../messages/catalogue.svelte";
import ChangesScreen from "./ChangesScreen.svelte";
import { shown } from "./shown";
import { at, credential, page, view } from "./testing";

beforeEach(() => router.replace("changes"));
afterEach(() => {
  catalogue.choose("en");
  vi.restoreAllMocks();
});

function open(changes: ChangeView[], credentials: CredentialRow[] = []) {
  const backend = fakeBackend({
    changes: () => Promise.resolve(changes),
    credentials: () => Promise.resolve(credentials),
    change: () => Promise.resolve(page(["waiting"])),
  });
  return shown(ChangesScreen, {}, backend);
}

const three = [
  view({ id: 1, state: "changed", started: at(0), devices: 12, devices_done: 12, seconds: 7.3 }),
  view({ id: 2, state: "interrupted", started: at(10), credential: "backup", credential_id: 4 }),
  view({ id: 3, state: "changed", kind: "install", started: at(20) }),
];
const labels = () => screen.getAllByRole("row").slice(1).map((row) => row.getAttribute("aria-label"));

test("changes are listed newest first, each with its state in words", async () => {
  open(three);
  await screen.findByRole("row", { name: "Change 3 of deploy: Installed" });
  expect(labels()).toEqual([
    "Change 3 of deploy: Installed",
    "Change 2 of backup: Interrupted",
    "Change 1 of deploy: Changed",
  ]);
  const first = screen.getByRole("row", { name: /Change 1/ });
  expect(first.textContent).toMatch(/12 of 12/);
});

test("a row opens the change's page", async () => {
  const user = userEvent.setup();
  const go = vi.spyOn(router, "go").mockImplementation(() => undefined);
  open(three);
  await user.click(within(await screen.findByRole("row", { name: /Change 2/ })).getByText("backup"));
  expect(go).toHaveBeenCalledExactlyOnceWith("changes", 2);
});

test("an address narrows the list, and Clear filters widens it again", async () => {
  const user = userEvent.setup();
  router.replace("changes", null, null, { state: "interrupted" });
  open(three);
  await screen.findByRole("row", { name: /Change 2/ });
  expect(labels()).toHaveLength(1);
  await user.click(screen.getByRole("button", { name: "Clear filters" }));
  expect(labels()).toHaveLength(3);
});

test("a search that finds nothing says so, and an empty list what to do first", async () => {
  const user = userEvent.setup();
  const { unmount } = open(three);
  await user.type(await screen.findByRole("searchbox"), "nobody");
  expect(screen.getByRole("heading", { name: "No change matches" })).toBeTruthy();
  unmount();
  open([]);
  expect(await screen.findByRole("heading", { name: "No key has been changed yet" })).toBeTruthy();
});

test("Ctrl+N asks for the credential, and leads to its page", async () => {
  const user = userEvent.setup();
  open(three, [credential({ id: 3, name: "deploy" }), credential({ id: 4, name: "pass", kind: "password" })]);
  await screen.findByRole("row", { name: /Change 2/ });
  const go = vi.spyOn(router, "go");
  press(new KeyboardEvent("keydown", { key: "n", ctrlKey: true, cancelable: true }));
  expect(go).toHaveBeenLastCalledWith("changes", null, "new");
  router.replace("changes", null, "new");

  const dialog = await screen.findByRole("dialog", { name: "New change" });
  await user.click(within(dialog).getByRole("button", { name: "Continue" }));
  expect(within(dialog).getByText("Choose a credential.")).toBeTruthy();
  await user.type(within(dialog).getByRole("combobox", { name: "Credential" }), "de");
  expect(screen.queryByRole("option", { name: /pass/ }), "a password has no key to change").toBeNull();
  await user.click(screen.getByRole("option", { name: /deploy/ }));
  await user.click(within(dialog).getByRole("button", { name: "Continue" }));
  expect(go).toHaveBeenLastCalledWith("credentials", 3, "change");
});

test("under a page the list is kept, and its shortcut is not the page's", async () => {
  open(three);
  await screen.findByRole("row", { name: /Change 2/ });
  const go = vi.spyOn(router, "go").mockImplementation(() => undefined);
  router.replace("changes", 7);
  await screen.findByRole("heading", { level: 1, name: "Key change of deploy" });
  press(new KeyboardEvent("keydown", { key: "n", ctrlKey: true, cancelable: true }));
  expect(go).not.toHaveBeenCalled();
});

test("the list is no fault to axe, and is told in Portuguese, too", async () => {
  const { container } = open(three);
  await screen.findByRole("row", { name: /Change 2/ });
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  expect((await axe.run(container, rules)).violations).toEqual([]);
  catalogue.choose("pt-BR");
  expect(await screen.findByRole("row", { name: "Troca 2 de backup: Interrompida" })).toBeTruthy();
});
