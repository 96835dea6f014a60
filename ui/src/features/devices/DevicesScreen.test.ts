import { render, screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { notices } from "../../app/notices.svelte";
import { router } from "../../app/router.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { DeviceRow } from "../../generated/DeviceRow";
import { catalogue } from "../../messages/catalogue.svelte";
import DevicesScreen from "./DevicesScreen.svelte";
import { credentialRow, deviceRow, report } from "./fixtures";
import WithBackend from "../../backend/WithBackend.svelte";

const pinned = { algorithm: "ssh-ed25519", fingerprint: "SHA256:old", pinned_at: "2026-11-20T10:00:00Z" };

let stop: () => void;
beforeEach(() => {
  window.location.hash = "#/devices";
  stop = router.start();
});
afterEach(() => {
  stop();
  catalogue.choose("en");
});

function opened(rows: DeviceRow[], more: Partial<Backend> = {}) {
  const backend = fakeBackend({
    devices: () => Promise.resolve(rows),
    credentials: () => Promise.resolve([credentialRow(7, { name: "deploy", device_ids: [2] })]),
    copy: () => Promise.resolve(),
    ...more,
  });
  render(WithBackend, { backend, view: DevicesScreen });
  return userEvent.setup();
}

const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
const shown = () =>
  screen
    .getAllByRole("row")
    .slice(1)
    .map((row) => row.getAttribute("aria-label"));
const hash = () => window.location.hash;

const rows = [
  deviceRow(1, { name: "web-10", host_keys: [pinned], host_key_state: "pinned" }),
  deviceRow(2, { name: "web-2", tags: ["edge"], enabled: false, credentials: ["deploy"] }),
  deviceRow(3, { name: "db-1", host_keys: [pinned], host_key_state: "changed" }),
];

test("an empty list teaches the first step", async () => {
  const user = opened([]);
  expect(await screen.findByRole("heading", { name: "No devices yet" })).toBeTruthy();
  await user.click(button("Import CSV…"));
  expect(hash()).toBe("#/devices/import");
});

test("a list that can't be read is no empty list", async () => {
  opened([], { devices: () => Promise.reject(new BackendError(report({ message: "The database is locked." }))) });
  await screen.findByText("The database is locked.");
  expect(screen.queryByRole("heading", { name: "No devices yet" }), "an administrator would add them again").toBeNull();
});

test("devices stand by their number, and in a column's order when it is asked for", async () => {
  const user = opened(rows);
  await screen.findByRole("grid", { name: "Devices" });
  expect(shown()).toEqual(["web-10", "web-2", "db-1"]);
  const header = (name: string) => within(screen.getByRole("columnheader", { name })).getByRole("button");
  await user.click(header("Name"));
  expect(shown()).toEqual(["db-1", "web-2", "web-10"]);
  await user.click(header("Address"));
  await user.click(header("Address"));
  expect(shown()).toEqual(["db-1", "web-2", "web-10"]);
  await user.click(header("Host keys"));
  expect(shown(), "what asks for a decision is not first").toEqual(["db-1", "web-2", "web-10"]);
  await user.click(header("Host keys"));
  expect(shown()).toEqual(["web-10", "web-2", "db-1"]);
});

test("the state of the host keys is a word, not a colour only", async () => {
  opened(rows);
  const grid = await screen.findByRole("grid", { name: "Devices" });
  for (const [name, word] of [["web-10", "Pinned"], ["web-2", "None"], ["db-1", "Changed"]] as const) {
    expect(within(within(grid).getByRole("row", { name })).getByText(word)).toBeTruthy();
  }
});

test("a search narrows the list, and says what to do when nothing is left", async () => {
  const user = opened(rows);
  await user.type(await screen.findByRole("searchbox", { name: "Search devices" }), "edge");
  expect(shown()).toEqual(["web-2"]);
  expect(screen.getByText("1 of 3 devices")).toBeTruthy();
  await user.type(screen.getByRole("searchbox"), "x");
  await user.click(button("Clear the filters"));
  expect(shown()).toHaveLength(3);
});

test("an address sets the filters", async () => {
  window.location.hash = "#/devices?state=changed,none";
  router.replace("devices", null, null, { state: "changed,none" });
  opened(rows);
  await screen.findByRole("grid");
  expect(shown()).toEqual(["web-2", "db-1"]);
});

test("without a selection everything shown is scanned, with one only that", async () => {
  const user = opened(rows);
  await screen.findByRole("grid");
  await user.type(screen.getByRole("searchbox"), "web");
  await user.click(button("Scan host keys"));
  expect(decodeURIComponent(hash())).toBe("#/devices/scan?ids=1,2");
  router.replace("devices");
  await user.click(await screen.findByRole("checkbox", { name: "Select web-2" }));
  await user.click(button("Scan host keys"));
  expect(hash()).toBe("#/devices/scan?ids=2");
});

test("all of them are scanned without naming each", async () => {
  const user = opened(rows);
  await screen.findByRole("grid");
  await user.click(button("Scan host keys"));
  expect(hash()).toBe("#/devices/scan?ids=all");
});

test("ten thousand devices are chosen at once and few of them drawn", async () => {
  const user = opened(Array.from({ length: 10_000 }, (_, index) => deviceRow(index + 1)));
  await user.click(await screen.findByRole("checkbox", { name: "Select all shown" }));
  expect(screen.getByText("10,000 devices selected")).toBeTruthy();
  expect(screen.getAllByRole("row").length).toBeLessThan(70);
});

test("Ctrl+N opens the form, and what is saved is shown", async () => {
  let list = rows;
  const saveDevice = vi.fn(() => {
    list = [...rows, deviceRow(4, { name: "db-2" })];
    return Promise.resolve(list[3]!);
  });
  const user = opened(rows, { devices: () => Promise.resolve(list), saveDevice });
  await screen.findByRole("grid");
  press(new KeyboardEvent("keydown", { key: "n", ctrlKey: true }));
  await user.type(await screen.findByRole("textbox", { name: "Name" }), "db-2");
  await user.type(screen.getByRole("textbox", { name: "Address" }), "192.0.2.4");
  await user.click(button("Save"));
  expect(await screen.findByRole("heading", { level: 1, name: "db-2" })).toBeTruthy();
  expect(hash()).toBe("#/devices/4");
  expect(screen.queryByRole("dialog"), "the form stands over the page").toBeNull();
});

test("a page shows its device, with links to what stands on it", async () => {
  router.replace("devices", 2);
  opened(rows);
  expect(await screen.findByRole("heading", { level: 1, name: "web-2" })).toBeTruthy();
  expect((await screen.findByRole("link", { name: "deploy" })).getAttribute("href")).toBe("#/credentials/7");
});

test("a disabled device is not scanned, and the page says why", async () => {
  router.replace("devices", 2);
  opened(rows);
  await screen.findByRole("heading", { level: 1, name: "web-2" });
  expect(button("Scan host keys").disabled).toBe(true);
  expect(screen.getByText(/Enable it under/)).toBeTruthy();
});

test("a changed host key is shown old beside new", async () => {
  router.replace("devices", 3);
  const changed = { algorithm: "ssh-ed25519", fingerprint: "SHA256:new", seen_at: "2026-11-24T10:00:00Z" };
  opened([...rows.slice(0, 2), { ...rows[2]!, changed_host_key: changed }]);
  const notice = await screen.findByRole("alert");
  expect(within(notice).getByText("SHA256:old")).toBeTruthy();
  expect(within(notice).getByText("SHA256:new")).toBeTruthy();
});

test("an unchanged host key alarms nobody", async () => {
  router.replace("devices", 1);
  opened(rows);
  await screen.findByRole("heading", { level: 1, name: "web-10" });
  expect(screen.queryByRole("alert")).toBeNull();
});

test("deleting says what is lost, and why it is refused", async () => {
  const used = new BackendError(report({ code: "device-used", message: "“web-10” is used by “deploy”." }));
  const removeDevice = vi.fn(() => Promise.reject(used));
  router.replace("devices", 1);
  const user = opened(rows, { removeDevice });
  await user.click(await screen.findByRole("button", { name: "Delete" }));
  const dialog = await screen.findByRole("dialog", { name: "Delete web-10?" });
  expect(dialog.textContent).toContain("its pinned host key");
  expect(dialog.textContent).toContain("ID 1 is never given to another device");
  expect(removeDevice).not.toHaveBeenCalled();
  await user.click(within(dialog).getByRole("button", { name: "Delete" }));
  await screen.findByText("“web-10” is used by “deploy”.");
  expect(hash(), "the device is still there").toBe("#/devices/1");
});

test("a deleted device leaves the page for the list", async () => {
  let list = rows;
  router.replace("devices", 1);
  const user = opened(rows, {
    devices: () => Promise.resolve(list),
    removeDevice: (id) => {
      list = rows.filter((row) => row.id !== id);
      return Promise.resolve();
    },
  });
  await user.click(await screen.findByRole("button", { name: "Delete" }));
  await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Delete" }));
  await waitFor(() => expect(shown()).toEqual(["web-2", "db-1"]));
  expect(hash()).toBe("#/devices");
});

test("a device that another program deleted is said to be gone", async () => {
  let list = rows;
  router.replace("devices", 1);
  opened(rows, { devices: () => Promise.resolve(list) });
  await screen.findByRole("heading", { level: 1, name: "web-10" });
  list = [];
  notices.hand({ notice: "catalogue" } as never);
  expect(await screen.findByRole("heading", { name: "This device is not in the list" })).toBeTruthy();
});

test.each(["en", "pt-BR"] as const)("list and page are accessible in %s", async (language) => {
  catalogue.choose(language);
  opened(rows);
  await screen.findByRole("grid");
  const rules = { "color-contrast": { enabled: false }, region: { enabled: false } };
  const wrong = async () => (await axe.run(document.body, { rules })).violations.map((each) => each.id);
  expect(await wrong()).toEqual([]);
  router.go("devices", 2);
  await screen.findByRole("heading", { level: 1, name: "web-2" });
  await screen.findByRole("link", { name: "deploy" });
  expect(await wrong()).toEqual([]);
});
