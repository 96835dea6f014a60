import { render, screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { tick } from "svelte";
import { afterEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { notices } from "../../app/notices.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import { catalogue } from "../../messages/catalogue.svelte";
import Charts from "./Charts.svelte";
import OverviewScreen from "./OverviewScreen.svelte";
import { change, credential, device } from "./sample";
import WithBackend from "../../backend/WithBackend.svelte";

afterEach(() => {
  catalogue.choose("en");
  window.location.hash = "";
});

function overview(of: { devices?: unknown[]; credentials?: unknown[]; changes?: unknown[] }, more: Partial<Backend> = {}) {
  const backend = fakeBackend({
    devices: async () => (of.devices ?? []) as never,
    credentials: async () => (of.credentials ?? []) as never,
    changes: async () => (of.changes ?? []) as never,
    backupStanding: async () => ({ last: null, path: null, lacks: 0, automatic: false, failed: null }),
    proposals: async () => ({ waits_for_keyring: false, held_up: [], owners_gone: [], missed: [] }),
    ...more,
  });
  return render(WithBackend, { backend, view: OverviewScreen as never, given: {} });
}

const steps = async () => within(await screen.findByRole("list", { name: "" })).getAllByRole("listitem");
const withoutContrast = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };

test("the first run shows five steps and one button, that of the next step", async () => {
  const user = userEvent.setup();
  const { container } = overview({ devices: [device(1)] });
  expect((await steps()).map((step) => within(step).getByRole("heading").textContent?.replace(/\s+/g, " ").trim())).toEqual([
    "Add devices (Done)",
    "Pin host keys (Done)",
    "Add a credential (Next)",
    "Check devices (Later)",
    "Change a key (Later)",
  ]);
  expect(screen.getAllByRole("button").map((button) => button.textContent?.trim())).toEqual(["New credential"]);
  expect(screen.getByRole("status").textContent).toBe("2 of 5 done");
  expect(screen.queryByText("Key ages"), "charts of nothing").toBeNull();
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);

  await user.click(screen.getByRole("button", { name: "New credential" }));
  expect(window.location.hash).toBe("#/credentials/new");
});

test("Ctrl+Enter takes the next step", async () => {
  overview({});
  await screen.findByText("First steps");
  press(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true }));
  expect(window.location.hash).toBe("#/devices/new");
});

test("a step says what is left of it, where it ticked with some", async () => {
  overview({ devices: [device(1), device(2, { host_key_state: "none" }), device(3, { host_key_state: "none" })] });
  const left = await screen.findByRole("link", { name: "2 devices still have no pinned host key" });
  expect(left.getAttribute("href")).toBe("#/devices?state=none&status=enabled");
});

test("on the first run only trouble that the steps don't tell stands beside them", async () => {
  const devices = [device(1), device(2, { host_key_state: "none" })];
  const { unmount } = overview({ devices, credentials: [credential(1, { state: "not-ready" })] });
  await screen.findByText("First steps");
  expect(screen.queryByText("What needs attention")).toBeNull();
  unmount();

  overview({ devices, changes: [change(1, { state: "interrupted", credential: "root" })] });
  const line = await screen.findByRole("link", { name: /A key change of root was interrupted/ });
  expect(line.getAttribute("href")).toBe("#/changes/1");
  expect(screen.queryByRole("link", { name: /web-2 has no pinned/ })).toBeNull();
});

test("after the first run all of it is told, in the chosen language", async () => {
  const of = {
    devices: [device(1), device(2, { host_key_state: "none" })],
    credentials: [credential(1, { state: "not-ready" }), credential(2, { state: "not-ready" })],
    changes: [change(1)],
  };
  const { unmount } = overview(of);
  expect(await screen.findByRole("heading", { name: "What needs attention" })).toBeTruthy();
  expect(screen.queryByText("First steps")).toBeNull();
  expect(screen.getByRole("link", { name: /2 credentials are not ready/ }).getAttribute("href")).toBe(
    "#/credentials?state=not-ready",
  );
  expect(screen.getByRole("link", { name: /web-2 has no pinned host key/ }).getAttribute("href")).toBe("#/devices/2");
  unmount();

  catalogue.choose("pt-BR");
  overview(of);
  expect(await screen.findByRole("heading", { name: "O que requer atenção" })).toBeTruthy();
  expect(screen.getByRole("link", { name: /2 credenciais não estão prontas/ })).toBeTruthy();
});

test("calm words where nothing needs attention, and no page that axe has a word against", async () => {
  const { container } = overview({ devices: [device(1)], credentials: [credential(1)], changes: [change(1)] });
  expect(await screen.findByRole("heading", { name: "Nothing needs attention" })).toBeTruthy();
  expect(screen.getByText(/1 credential, 1 device/)).toBeTruthy();
  expect(await screen.findByRole("heading", { name: "Key ages" })).toBeTruthy();
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("a name that looks like markup is shown as it is", async () => {
  overview({ changes: [change(1), change(2, { state: "interrupted", credential: "<b>x</b>" })] });
  expect((await screen.findByText("<b>x</b>")).tagName).toBe("BDI");
});

test("a list that can't be read is an error that can be copied, and no calm", async () => {
  const report = { code: "database-busy", message: "The database is busy.", hint: "Try again.", subject: null };
  const copy = vi.fn(async () => undefined);
  overview({ changes: [change(1)] }, { devices: () => Promise.reject(new BackendError(report)), copy });
  expect(await screen.findByText("The database is busy.")).toBeTruthy();
  expect(screen.queryByText("Nothing needs attention"), "it is not known").toBeNull();
  await userEvent.setup().click(screen.getByRole("button", { name: "Copy details" }));
  expect(copy).toHaveBeenCalledWith(expect.stringContaining("database-busy"));
});

test("the end of a change is seen at once", async () => {
  const of = { devices: [device(1)], credentials: [credential(1)], changes: [change(1), change(2, { state: "running" })] };
  overview(of);
  await screen.findByRole("heading", { name: "Nothing needs attention" });
  of.changes = [change(1), change(2, { state: "interrupted" })];
  const at = "2026-11-24T12:00:00Z";
  notices.hand({ notice: "change", change: 2, at, event: "finished", outcome: "interrupted", devices: [], seconds: 1 });
  expect(await screen.findByRole("link", { name: /was interrupted/ })).toBeTruthy();
});

test("every bar is a link that says what it counts", async () => {
  const now = new Date(2026, 10, 24, 12);
  const on = (month: number, day: number) => new Date(2026, month, day, 12).toISOString();
  const { container } = render(Charts, {
    credentials: [credential(1, { key_created: on(8, 1) }), credential(2, { key_created: on(10, 20), algorithm: "rsa-3072" })],
    changes: [change(1, { started: on(10, 23) }), change(2, { started: on(10, 24), state: "partly-changed" })],
    now,
  });
  const names = () => screen.getAllByRole("link").map((link) => link.getAttribute("aria-label"));
  expect(names()).toEqual([
    "Up to 30 days: 1 key",
    "31–90 days: 1 key",
    "91–180 days: 0 keys",
    "181–365 days: 0 keys",
    "Over 365 days: 0 keys",
    "Ed25519: 1 key",
    "RSA 3072: 1 key",
    "Week of Nov 23, Changed: 1 change",
    "Week of Nov 23, Partly changed: 1 change",
  ]);
  expect(screen.getByText("1 of 2 changes in 12 weeks went through.")).toBeTruthy();
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);

  await userEvent.setup().click(screen.getByRole("button", { name: "As a table" }));
  const table = screen.getByRole("table", { name: "Changes per week" });
  expect(within(table).getAllByRole("row").length, "a row a week and the head").toBe(13);
  expect(within(table).getAllByRole("link").map((link) => link.getAttribute("href"))).toEqual([
    "#/changes?week=2026-11-23&outcome=changed",
    "#/changes?week=2026-11-23&outcome=partly-changed",
  ]);
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);

  catalogue.choose("pt-BR");
  await tick();
  expect(names().slice(0, 3)).toEqual(["Até 30 dias: 1 chave", "31–90 dias: 1 chave", "91–180 dias: 0 chave"]);
});

test("the calendar of coming changes leads from each day to its keys", async () => {
  const now = new Date(2026, 10, 24, 12);
  const on = (day: number) => ({ next_change: new Date(2026, 11, day, 10).toISOString() });
  const { container } = render(Charts, {
    credentials: [credential(1, on(3)), credential(2, on(3)), credential(3, { next_change: null })],
    changes: [],
    now,
  });
  expect(screen.getByText("2 keys change by themselves within 6 weeks.")).toBeTruthy();
  const calendar = within(screen.getByRole("table", { name: "Coming changes" }));
  expect(calendar.getAllByRole("link").map((link) => [link.getAttribute("aria-label"), link.getAttribute("href")])).toEqual([
    ["Dec 3: 2 keys", "#/credentials?coming=2026-12-03"],
  ]);
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("charts of nothing say so", () => {
  render(Charts, { credentials: [], changes: [], now: new Date() });
  expect(screen.getAllByText("No credential has a key yet.").length).toBe(2);
  expect(screen.getByText("No change began in the last 12 weeks.")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "As a table" })).toBeNull();
});
