import { screen, waitFor, within } from "@testing-library/svelte";
import { beforeEach, expect, test, vi } from "vitest";

import type { Backend } from "../../backend/backend";
import type { DeviceFinding } from "../../generated/DeviceFinding";
import type { FormCheck } from "../../generated/FormCheck";
import type { Report } from "../../generated/Report";
import { catalogue as messages } from "../../messages/catalogue.svelte";
import { button, catalogue, choose, field, fill, openForm, tab, table } from "./testing-form";
import { device, refusal } from "./testing";

vi.mock("../devices/DeviceDialog.svelte", () => import("./StubDialog.svelte"));
vi.mock("../people/PersonDialog.svelte", () => import("./StubDialog.svelte"));

beforeEach(() => messages.choose("en"));

const all = () => table("All devices");
const ticked = (name: string) => all().getByRole<HTMLInputElement>("checkbox", { name: `Select ${name}` });
const order = () =>
  table("Order of change")
    .queryAllByRole("row")
    .slice(1)
    .map((row) => row.getAttribute("aria-label"));

test("the original device is the first, fixed and marked; the others follow by their IDs", async () => {
  const { user } = await filled();

  expect(order()).toEqual(["1 web-2"]);
  expect([ticked("web-2").checked, ticked("web-2").disabled]).toEqual([true, true]);
  await user.click(ticked("web-3"));
  await user.click(ticked("web-1"));
  expect(order()).toEqual(["1 web-2", "2 web-1", "3 web-3"]);
  const rows = table("Order of change").getAllByRole("row");
  expect(rows.filter((row) => within(row).queryByText("Original device") !== null)).toEqual([rows[1]]);
  await user.click(ticked("web-1"));
  expect(order()).toEqual(["1 web-2", "2 web-3"]);
});

test("another original device takes the first place, and the one before is not left behind", async () => {
  const { user } = await filled();

  await user.click(ticked("web-1"));
  await user.click(tab("Information"));
  await choose(user, "Original device", /web-3/);
  await user.click(tab("Devices"));
  expect(order()).toEqual(["1 web-3", "2 web-1"]);
  expect(ticked("web-2").checked).toBe(false);
});

test("the original device of a saved credential stays among its devices when another becomes it", async () => {
  const { user } = await openForm(catalogue().backend, { id: 5 });

  await choose(user, "Original device", /web-3/);
  await user.click(tab("Devices"));
  expect(order()).toEqual(["1 web-3", "2 web-1", "3 web-2"]);
  expect(ticked("web-2").disabled).toBe(false);
});

test("a click on a device's row chooses it, and on the original device's does nothing", async () => {
  const { user } = await filled();

  await user.click(all().getByText("web-1"));
  await user.click(all().getByText("web-2"));
  expect(order()).toEqual(["1 web-2", "2 web-1"]);
});

test("search and tags narrow the list; Select all shown chooses only what is shown, and unchooses it", async () => {
  const { user, saveCredential } = await filled();

  await user.type(screen.getByRole("searchbox", { name: "Search devices" }), "10.0.0.1");
  expect(all().queryAllByRole("row")).toHaveLength(2);
  await user.click(all().getByRole("checkbox", { name: "Select all shown" }));
  expect(order()).toEqual(["1 web-2", "2 web-1"]);
  await user.clear(screen.getByRole("searchbox", { name: "Search devices" }));
  await user.click(screen.getByRole("button", { name: "Filter: Tags" }));
  await user.click(await screen.findByRole("menuitemcheckbox", { name: /edge/ }));
  await user.keyboard("{Escape}");
  await waitFor(() => expect(all().queryAllByRole("row")).toHaveLength(2));
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1].devices, "what the filter hides stays chosen").toEqual([2, 1]);
});

test("nothing that matches says so", async () => {
  const { user } = await filled();

  await user.type(screen.getByRole("searchbox", { name: "Search devices" }), "zzz");
  expect(screen.getByText("No device matches.")).toBeDefined();
});

test("ten thousand devices are chosen at once, few of them drawn", { timeout: 30_000 }, async () => {
  const many = Array.from({ length: 10_000 }, (_, index) => device(index + 1, `host-${index + 1}`));
  const { backend } = catalogue({ devices: () => Promise.resolve(many) });
  const { user } = await openForm(backend, { id: 5 });
  await user.click(tab("Devices"));

  await user.click(all().getByRole("checkbox", { name: "Select all shown" }));
  expect(await screen.findByText("10,000 devices chosen")).toBeDefined();
  expect(order().slice(0, 3)).toEqual(["1 host-2", "2 host-1", "3 host-3"]);
  expect(screen.getAllByRole("row").length).toBeLessThan(130);
  await user.click(all().getByRole("checkbox", { name: "Select all shown" }));
  expect(order(), "the original device stays").toEqual(["1 host-2"]);
});

test("without devices the first step is a new one, which becomes the original device", async () => {
  const { backend } = catalogue({ devices: () => Promise.resolve([]) });
  const { user } = await openForm(backend);
  await user.click(tab("Devices"));

  expect(screen.getByText("No devices yet")).toBeDefined();
  await user.click(button("New device…"));
  await user.click(await screen.findByRole("button", { name: "Save the new one" }));
  await waitFor(() => expect(order()).toEqual(["1 new-9"]));
});

test("the note says what must hold, and of another credential only where one authenticates", async () => {
  const { user } = await filled();
  const otherAccount = "The account of the credential for authentication exists there, too.";

  for (const line of ["The account exists.", "Its public key stands in its authorized_keys.", "Key login is switched on."]) {
    expect(screen.getByText(line)).toBeDefined();
  }
  expect(screen.queryByText(otherAccount)).toBeNull();
  await user.click(tab("Additional settings"));
  await user.click(screen.getByRole("checkbox", { name: "Enable automatic change" }));
  await user.click(screen.getByRole("checkbox", { name: "Use the key itself to connect" }));
  await choose(user, "Credential or SSH key for authentication", /bastion/);
  await user.click(tab("Devices"));
  expect(screen.getByText(otherAccount)).toBeDefined();
});

test("what the check still needs is said beside its button", async () => {
  const { user } = await openForm(catalogue().backend);
  await user.click(tab("Devices"));
  const reason = () => document.getElementById(button("Check devices").getAttribute("aria-describedby") ?? "")?.textContent;

  expect([button("Check devices").disabled, reason()]).toEqual([true, "Give the username first."]);
  await user.click(tab("Information"));
  await user.type(field("Username"), "deploy");
  await user.click(tab("Devices"));
  expect(reason()).toBe("Choose a device first.");
  await user.click(tab("Information"));
  await choose(user, "Original device", /web-2/);
  await user.click(tab("Devices"));
  expect([button("Check devices").disabled, reason()]).toEqual([true, "Generate or import a key first."]);
  await user.click(tab("Key"));
  await user.click(button("Generate a new key"));
  await user.click(tab("Devices"));
  await waitFor(() => expect(button("Check devices").disabled).toBe(false));
});

test("the check asks with the form as it stands, and shows problems first with their remedy", async () => {
  const run = checks();
  const { user } = await filled({ checkForm: run.checkForm });
  await user.click(ticked("web-1"));
  await user.click(ticked("web-3"));

  await user.click(button("Check devices"));
  expect(run.asked()).toMatchObject({ id: null, form: { username: "deploy", devices: [2, 1, 3], secret: { key: 11 } } });
  run.found(3, { ready: false, problems: [{ code: "no-key", message: "The key is not there.", hint: "Install it.", subject: null }] });
  run.found(1, { ready: true });
  expect(await screen.findByText("2 of 3 devices checked")).toBeDefined();
  expect(rowOf("3 web-3").textContent).toContain("Not ready");
  expect(rowOf("2 web-1").textContent).toContain("Ready");
  expect(rowOf("1 web-2").textContent).toContain("Waiting");
  run.found(2, { ready: true, warnings: [{ code: "w", message: "It is the only key.", hint: "", subject: null }] });
  run.end();
  expect(await screen.findByText("1 device is not ready")).toBeDefined();
  expect(screen.getByText("2 devices are ready: all of this holds there.")).toBeDefined();
  const findings = screen.getByText("The key is not there.").closest("ul") as HTMLElement;
  expect(within(findings).getAllByRole("listitem").map((item) => item.querySelector("strong")?.textContent)).toEqual([
    "web-3",
    "web-2",
  ]);
  expect(within(findings).getByText("What to do: Install it.")).toBeDefined();
});

test("the check is stopped, and says how far it was", async () => {
  const run = checks();
  const stopCheck = vi.fn(() => Promise.resolve(run.end()));
  const { user } = await filled({ checkForm: run.checkForm, stopCheck });
  await user.click(ticked("web-1"));

  await user.click(button("Check devices"));
  run.found(2, { ready: true });
  await user.click(await screen.findByRole("button", { name: "Stop" }));
  expect(stopCheck).toHaveBeenCalledOnce();
  expect(await screen.findByText("Stopped: 1 of 2 devices were checked.")).toBeDefined();
  expect(rowOf("2 web-1").textContent).toContain("Not checked");
});

test("a form that is changed after the check says so; a name or an owner does not matter to it", async () => {
  const run = checks();
  const { user } = await filled({ checkForm: run.checkForm });
  await user.click(button("Check devices"));
  run.found(2, { ready: true });
  run.end();
  await screen.findByText("1 device is ready: all of this holds there.");

  await user.click(tab("Information"));
  await user.type(field("Name"), "x");
  await user.click(tab("Devices"));
  expect(screen.queryByText(/The form was changed since/)).toBeNull();
  await user.click(ticked("web-1"));
  expect(screen.getByText(/The form was changed since/)).toBeDefined();
});

test("why a check could not be made is said where it was asked for", async () => {
  const { user } = await filled({ checkForm: () => Promise.reject(refusal("keyring-locked")) });

  await user.click(button("Check devices"));
  expect(await screen.findByText("keyring-locked happened.")).toBeDefined();
  expect(button("Check devices").disabled).toBe(false);
});

test("a check that is left is stopped, and what it still says is nobody's", async () => {
  const run = checks();
  const stopCheck = vi.fn(() => Promise.resolve());
  const { user, unmount } = await filled({ checkForm: run.checkForm, stopCheck });

  await user.click(button("Check devices"));
  unmount();
  expect(stopCheck).toHaveBeenCalledOnce();
  expect(() => run.found(2, { ready: true })).not.toThrow();
});

test("devices that are not ready do not keep the credential from being saved", async () => {
  const run = checks();
  const { user, saveCredential } = await filled({ checkForm: run.checkForm });
  await user.click(button("Check devices"));
  run.found(2, { ready: false });
  run.end();
  await screen.findByText("1 device is not ready");

  await user.click(button("Save"));
  expect(saveCredential).toHaveBeenCalledOnce();
});

test("many findings are drawn fifty at a time", { timeout: 30_000 }, async () => {
  const many = Array.from({ length: 300 }, (_, index) => device(index + 1, `host-${index + 1}`));
  const run = checks();
  const { backend } = catalogue({ devices: () => Promise.resolve(many), checkForm: run.checkForm });
  const { user } = await openForm(backend, { id: 5 });
  await user.click(tab("Devices"));
  await user.click(all().getByRole("checkbox", { name: "Select all shown" }));
  await user.click(button("Check devices"));
  const gone: Report = { code: "timeout", message: "It did not answer.", hint: "", subject: null };
  for (const { id } of many) run.found(id, { ready: false, problems: [gone] });
  run.end();

  await screen.findByText("300 devices are not ready");
  expect(screen.getAllByText("It did not answer.")).toHaveLength(50);
  await user.click(button("Show 50 more"));
  expect(screen.getAllByText("It did not answer.")).toHaveLength(100);
});

test("a password is not checked here, and the note is another", async () => {
  const { user } = await openForm(catalogue().backend, { kind: "password" });
  await user.click(tab("Devices"));

  expect(screen.queryByRole("button", { name: "Check devices" })).toBeNull();
  expect(screen.getByText("The account exists and has this password.")).toBeDefined();
});

function rowOf(name: string): HTMLElement {
  return table("Order of change").getByRole("row", { name });
}

/** A check whose answers come when the test says so. */
function checks() {
  let asked: FormCheck | undefined;
  let tell: (finding: DeviceFinding) => void = () => undefined;
  let end: () => void = () => undefined;
  const checkForm: Backend["checkForm"] = (check, onFinding) => {
    asked = check;
    tell = onFinding;
    return new Promise((resolve) => (end = resolve));
  };
  const found = (id: number, more: Partial<DeviceFinding["finding"]>) =>
    tell({
      device_id: id,
      files: [],
      finding: {
        device: `web-${id}`,
        ready: true,
        method: "shell",
        files: [],
        old_key_lines: 1,
        problems: [],
        warnings: [],
        other_keys: [],
        ...more,
      },
    });
  return { checkForm, found, asked: () => asked, end: () => end() };
}

async function filled(calls: Partial<Backend> = {}) {
  const made = catalogue(calls);
  const opened = await openForm(made.backend);
  await fill(opened.user);
  await opened.user.click(tab("Devices"));
  return { ...made, ...opened };
}
