import { render, screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { unsaved } from "../../app/guard.svelte";
import { press } from "../../app/keys";
import { router } from "../../app/router.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import WithBackend from "../../backend/WithBackend.svelte";
import { catalogue } from "../../messages/catalogue.svelte";
import { NEW } from "./fields";
import PoliciesScreen from "./PoliciesScreen.svelte";
import { policy, simulation } from "./sample";

let stop: () => void;
beforeEach(() => {
  window.location.hash = "#/policies";
  stop = router.start();
});
afterEach(() => {
  stop();
  unsaved.answer(false);
  catalogue.choose("en");
});

const POLICIES = [
  policy(4, "Nightly", { days: ["sat", "sun"], from: "22:00", to: "06:00", maximum_age_days: 30 }),
  policy(1, "Standard", { credentials: 12 }),
  policy(7, "Weekly", { credentials: 1 }),
];

function opened(more: Partial<Backend> = {}) {
  const savePolicy = vi.fn<Backend["savePolicy"]>((id, form) => Promise.resolve({ ...policy(id ?? 9, form.name), ...form }));
  const removePolicy = vi.fn<Backend["removePolicy"]>(() => Promise.resolve());
  const simulatePolicy = vi.fn<Backend["simulatePolicy"]>(() => Promise.resolve(simulation()));
  const backend = fakeBackend({
    policies: () => Promise.resolve(POLICIES),
    savePolicy,
    removePolicy,
    simulatePolicy,
    copy: () => Promise.resolve(),
    ...more,
  });
  const { container } = render(WithBackend, { backend, view: PoliciesScreen });
  return { user: userEvent.setup({ delay: null }), container, savePolicy, removePolicy, simulatePolicy };
}

const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
const field = (name: string) => screen.getByRole<HTMLInputElement>("textbox", { name });
const day = (name: string) => screen.getByRole<HTMLInputElement>("checkbox", { name });
const said = (control: HTMLElement) =>
  (control.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "")
    .join(" ");
const withoutContrast = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };

async function newPolicy(more: Partial<Backend> = {}) {
  const page = opened(more);
  await page.user.click(await screen.findByRole("button", { name: "New policy" }));
  await screen.findByRole("heading", { name: "New policy", level: 1 });
  return page;
}

test("the list says of each policy when keys change and how many have it", async () => {
  const { container } = opened();
  const cells = async (name: string) =>
    within(await screen.findByRole("row", { name }))
      .getAllByRole("gridcell")
      .map((cell) => cell.textContent?.trim());
  expect(await cells("Nightly")).toEqual(["Nightly", "30 days", "Sat and Sun", "22:00–06:00", "Ed25519", "0", ""]);
  expect((await cells("Standard")).slice(1, 6)).toEqual(["90 days", "Any day", "Any hour", "Ed25519", "12"]);
  expect(screen.queryByRole("button", { name: "Remove Standard" }), "credentials get it where none is named").toBeNull();
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("a new policy has the labels of the design, begins as Standard, and is saved as it stands", async () => {
  const { user, savePolicy, container } = await newPolicy();
  for (const label of ["Maximum key age", "From", "To", "Retries", "Interval between retries", "Days of warning"]) {
    expect(field(label).value, label).not.toBe("");
  }
  for (const group of ["Days", "Strategy", "If a device fails", "After an interruption"]) {
    expect(screen.getByRole("group", { name: group })).toBeTruthy();
  }
  expect(screen.getByRole("combobox", { name: "Algorithm for new keys" }).textContent).toContain("Ed25519");
  expect([field("Change after reveal").value, field("Devices at once").value]).toEqual(["", "1"]);
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);

  await user.type(field("Name"), "Nights");
  await user.clear(field("Maximum key age"));
  await user.type(field("Maximum key age"), "30");
  for (const name of ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]) await user.click(day(name));
  await user.clear(field("From"));
  await user.type(field("From"), "22:00");
  await user.click(screen.getByRole("radio", { name: "Device by device" }));
  await user.click(screen.getByRole("radio", { name: "Roll back" }));
  await user.click(button("Save"));
  expect(savePolicy).toHaveBeenCalledWith(null, {
    ...NEW,
    name: "Nights",
    maximum_age_days: 30,
    days: ["sat", "sun"],
    from: "22:00",
    strategy: "device-by-device",
    after_interruption: "roll-back",
  });
  await waitFor(() => expect(window.location.hash).toBe("#/policies"));
});

test("what is wrong stands at its field, whether the page or Rust finds it", async () => {
  const refused = new BackendError({
    code: "policy-without-day",
    message: "On no day may a change begin.",
    hint: "Choose at least one day.",
    subject: null,
    field: "days",
  });
  const { user, savePolicy } = await newPolicy({ savePolicy: vi.fn(() => Promise.reject(refused)) });
  await user.click(button("Save"));
  expect(said(field("Name"))).toContain("The policy has no name.");
  await user.type(field("Name"), "Never");
  await user.type(field("Retries"), "x");
  await user.click(button("Save"));
  expect(said(field("Retries"))).toContain("This is no whole number.");
  expect(savePolicy).not.toHaveBeenCalled();
  await user.clear(field("Retries"));
  await user.type(field("Retries"), "3");
  await user.click(button("Save"));
  await waitFor(() => expect(said(day("Monday"))).toContain("Choose at least one day."));
  expect(document.activeElement, "the keyboard would look for it").toBe(day("Monday"));
});

test("Simulate draws the coming days of the form as it stands, and not those of another", async () => {
  const { user, simulatePolicy, container } = await newPolicy();
  await user.click(button("Simulate"));
  const drawn = await screen.findByRole("table", { name: "The next 14 days" });
  expect(simulatePolicy).toHaveBeenCalledWith(NEW);
  expect(screen.getByText("A key that is made now would change on: Mar 14, 2027.")).toBeTruthy();
  const cells = within(drawn).getAllByRole("cell").map((cell) => cell.textContent?.replace(/\s+/g, " ").trim() ?? "");
  expect(cells.filter((text) => text.includes("The key would change"))).toEqual(["14 The key would change Any hour"]);
  expect(cells.filter((text) => text.includes("Any hour"))).toHaveLength(2);
  expect(cells.filter((text) => text.includes("No change may begin"))).toHaveLength(12);
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);

  await user.type(field("Maximum key age"), "0");
  expect(screen.queryByRole("table"), "it is not what the form says any more").toBeNull();
  await user.clear(field("Maximum key age"));
  await user.type(field("Maximum key age"), "90");
  await user.type(field("Name"), "Nights");
  expect(screen.getByRole("table"), "a name changes nothing of it").toBeTruthy();
});

test("a policy is opened with its fields and saved under its number; Standard keeps its name", async () => {
  const { user, savePolicy } = opened();
  window.location.hash = "#/policies/4";
  await screen.findByRole("heading", { name: "Nightly", level: 1 });
  expect([field("Maximum key age").value, field("From").value, field("To").value]).toEqual(["30", "22:00", "06:00"]);
  expect([day("Sunday").checked, day("Monday").checked]).toEqual([true, false]);
  await user.clear(field("To"));
  await user.type(field("To"), "05:00");
  press(new KeyboardEvent("keydown", { key: "s", ctrlKey: true }));
  await waitFor(() => expect(savePolicy.mock.calls[0]?.[0]).toBe(4));
  expect(savePolicy.mock.calls[0]?.[1]).toMatchObject({ name: "Nightly", to: "05:00", days: ["sat", "sun"] });

  await waitFor(() => expect(window.location.hash).toBe("#/policies"));
  window.location.hash = "#/policies/1";
  await screen.findByRole("heading", { name: "Standard", level: 1 });
  expect(field("Name").disabled).toBe(true);
  expect(screen.getByRole("link", { name: "12 credentials have this policy" }).getAttribute("href")).toBe(
    "#/credentials?policy=1",
  );
});

test("what was typed is not lost without a question", async () => {
  const { user } = await newPolicy();
  await user.type(field("Name"), "Nights");
  await user.click(button("Cancel"));
  await waitFor(() => expect(unsaved.asking).toBe(true));
  unsaved.answer(false);
  expect(field("Name").value).toBe("Nights");
});

test("a policy that nobody has is removed; one in use leads to its credentials instead", async () => {
  const { user, removePolicy } = opened();
  await user.click(await screen.findByRole("button", { name: "Remove Weekly" }));
  let dialog = await screen.findByRole("dialog", { name: "Remove Weekly?" });
  expect(within(dialog).queryByRole("button", { name: "Remove" })).toBeNull();
  expect(within(dialog).getByRole("link", { name: "Show these credentials" }).getAttribute("href")).toBe(
    "#/credentials?policy=7",
  );
  await user.click(within(dialog).getAllByRole("button", { name: "Close" }).at(-1)!);
  await user.click(await screen.findByRole("button", { name: "Remove Nightly" }));
  dialog = await screen.findByRole("dialog", { name: "Remove Nightly?" });
  await user.click(within(dialog).getByRole("button", { name: "Remove" }));
  await waitFor(() => expect(removePolicy).toHaveBeenCalledWith(4));
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
});

test("why a policy was not removed is told where it was asked", async () => {
  const report = { code: "policy-used", message: "The policy \"Nightly\" is that of \"deploy\".", hint: "Give it another.", subject: "Nightly" };
  const { user } = opened({ removePolicy: () => Promise.reject(new BackendError(report)) });
  await user.click(await screen.findByRole("button", { name: "Remove Nightly" }));
  const dialog = await screen.findByRole("dialog", { name: "Remove Nightly?" });
  await user.click(within(dialog).getByRole("button", { name: "Remove" }));
  expect(await within(dialog).findByText(/is that of "deploy"/)).toBeTruthy();
});

test("a policy that is gone is said to be", async () => {
  opened();
  window.location.hash = "#/policies/99";
  expect(await screen.findByRole("dialog", { name: "This policy is not in the list" })).toBeTruthy();
});

test("the screen is there in Portuguese", async () => {
  catalogue.choose("pt-BR");
  const { user } = opened();
  await user.click(await screen.findByRole("button", { name: "Nova política" }));
  await screen.findByRole("heading", { name: "Nova política", level: 1 });
  expect(field("Idade máxima da chave").value).toBe("90");
  expect(day("segunda-feira").checked).toBe(true);
});
