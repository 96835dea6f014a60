import { render, screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { tick } from "svelte";
import { afterEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { notices } from "../../app/notices.svelte";
import { router } from "../../app/router.svelte";
import { unsaved } from "../../app/guard.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { Desktop } from "../../generated/Desktop";
import type { SettingView } from "../../generated/SettingView";
import { catalogue } from "../../messages/catalogue.svelte";
import WithBackend from "../../backend/WithBackend.svelte";
import { DESKTOP, OPENING, SETTINGS } from "./sample";
import SettingsScreen from "./SettingsScreen.svelte";

afterEach(() => {
  catalogue.choose("en");
  delete document.documentElement.dataset["theme"];
});

const refusal = new BackendError({
  code: "bad-setting",
  message: "The setting stage-timeout can't be 0.",
  hint: "It is a number of seconds from 1 to 3600.",
  subject: "stage-timeout",
});

async function shown(more: Partial<Backend> = {}, desktop: Desktop = DESKTOP) {
  let settings: SettingView[] = SETTINGS;
  const setSetting = vi.fn<Backend["setSetting"]>(async (name, value) => {
    settings = settings.map((setting) => (setting.name === name ? { ...setting, value } : setting));
  });
  const copy = vi.fn(async () => undefined);
  const backend = fakeBackend({
    settings: async () => settings,
    desktop: async () => desktop,
    opening: async () => OPENING,
    backupStanding: async () => ({ last: null, path: null, lacks: 0, automatic: false, failed: null }),
    setSetting,
    copy,
    ...more,
  });
  const view = render(WithBackend, { backend, view: SettingsScreen as never, given: {} });
  await screen.findByRole("heading", { name: /Appearance|Aparência/ });
  return { setSetting, copy, set: (views: SettingView[]) => (settings = views), ...view };
}

const number = (name: string) => screen.getByRole<HTMLInputElement>("textbox", { name });
const toggle = (name: string) => screen.getByRole<HTMLInputElement>("switch", { name });

async function type(field: HTMLInputElement, text: string) {
  const user = userEvent.setup();
  await user.clear(field);
  await user.type(field, text);
  await user.tab();
}

test("every setting has the label of the design and shows what is set", async () => {
  const { container } = await shown();
  expect(["Theme", "Language"].map((name) => screen.getByRole("combobox", { name }).textContent?.trim())).toEqual([
    "As the system",
    "As the system",
  ]);
  expect(["Start at login", "Keep running in the tray", "Notifications"].map((name) => toggle(name).checked)).toEqual([
    false,
    true,
    true,
  ]);
  expect(["Days of undo", "Connection timeout", "Stage timeout"].map((name) => number(name).value)).toEqual(["7", "10", "30"]);
  expect(screen.getByText("/home/ana/.local/share/keywheel")).toBeTruthy();
  expect(screen.getByText("0.1.0")).toBeTruthy();
  expect(screen.queryByText("Saved"), "nothing was saved").toBeNull();
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  expect((await axe.run(container, rules)).violations).toEqual([]);
});

test("a number is saved when its field is left, with its unit beside it, and says so there", async () => {
  const { setSetting } = await shown();
  const field = number("Days of undo");
  const described = field.getAttribute("aria-describedby")?.split(" ").map((id) => document.getElementById(id)?.textContent);
  expect(described?.[0]).toBe("days");
  await type(field, " 14 ");
  expect(setSetting.mock.calls).toEqual([["days-of-undo", "14"]]);
  await vi.waitFor(() => expect(within(field.parentElement as HTMLElement).getByRole("status").textContent?.trim()).toBe("Saved"));
  expect(field.value).toBe("14");
});

test("a field that is left as it was is not saved", async () => {
  const { setSetting } = await shown();
  await type(number("Stage timeout"), "30");
  expect(setSetting).not.toHaveBeenCalled();
  expect(screen.queryByText("Saved")).toBeNull();
});

test("a number that is refused stays to be corrected, with the reason at its field", async () => {
  const setSetting = vi.fn<Backend["setSetting"]>(() => Promise.reject(refusal));
  await shown({ setSetting });
  const field = number("Stage timeout");
  await type(field, "0");
  expect(await screen.findByText("The setting stage-timeout can't be 0.")).toBeTruthy();
  expect(screen.getByText("It is a number of seconds from 1 to 3600.")).toBeTruthy();
  expect([field.value, field.getAttribute("aria-invalid")]).toEqual(["0", "true"]);
  expect(number("Days of undo").getAttribute("aria-invalid"), "the error stands at another field, too").toBeNull();

  await type(field, "30");
  await vi.waitFor(() => expect(field.getAttribute("aria-invalid"), "what is set is no error").toBeNull());
  expect(setSetting).toHaveBeenCalledOnce();
});

test("leaving asks while a refused number stands there, and not after it was saved", async () => {
  await shown({ setSetting: (_, value) => (value === "0" ? Promise.reject(refusal) : Promise.resolve()) });
  expect(await router.mayLeave()).toBe(true);
  await type(number("Stage timeout"), "0");
  await screen.findByText("The setting stage-timeout can't be 0.");
  const leaving = router.mayLeave();
  expect(unsaved.asking).toBe(true);
  unsaved.answer(false);
  expect(await leaving).toBe(false);

  await type(number("Stage timeout"), "60");
  await vi.waitFor(() => expect(screen.queryByText("Saved")).toBeTruthy());
  expect(await router.mayLeave()).toBe(true);
});

test("Ctrl+S saves what is being typed", async () => {
  const { setSetting } = await shown();
  const user = userEvent.setup();
  await user.clear(number("Stage timeout"));
  await user.type(number("Stage timeout"), "45");
  expect(setSetting).not.toHaveBeenCalled();
  press(new KeyboardEvent("keydown", { key: "s", ctrlKey: true }));
  expect(setSetting.mock.calls).toEqual([["stage-timeout", "45"]]);
});

test("the theme and the language apply at once", async () => {
  const user = userEvent.setup();
  const { setSetting } = await shown();
  const choose = async (field: string, option: string) => {
    await user.click(screen.getByRole("combobox", { name: field }));
    await user.click(await screen.findByRole("option", { name: option }));
  };
  await choose("Theme", "Dark");
  await vi.waitFor(() => expect(document.documentElement.dataset["theme"]).toBe("dark"));
  await choose("Language", "Português (Brasil)");
  expect(await screen.findByRole("heading", { level: 1, name: "Configurações" })).toBeTruthy();
  expect(document.documentElement.lang).toBe("pt-BR");
  expect(setSetting.mock.calls).toEqual([
    ["theme", "dark"],
    ["language", "pt-BR"],
  ]);
  await choose("Tema", "Como no sistema");
  await vi.waitFor(() => expect(document.documentElement.dataset["theme"], "the system decides again").toBeUndefined());
});

test("a choice that can't be saved goes back to what is set and says why", async () => {
  await shown({ setSetting: () => Promise.reject(new Error("The disk is full.")) });
  await userEvent.setup().click(toggle("Notifications"));
  expect(await screen.findByText("The disk is full.")).toBeTruthy();
  expect(toggle("Notifications").checked).toBe(true);
});

test("a switch is saved at once", async () => {
  const { setSetting } = await shown();
  await userEvent.setup().click(toggle("Keep running in the tray"));
  expect(setSetting.mock.calls).toEqual([["keep-running-in-tray", "off"]]);
  await vi.waitFor(() => expect(toggle("Keep running in the tray").checked).toBe(false));
});

test("a choice made while the one before is being saved is saved after it", async () => {
  const user = userEvent.setup();
  const ends: (() => void)[] = [];
  const setSetting = vi.fn<Backend["setSetting"]>(() => new Promise((end) => ends.push(end)));
  await shown({ setSetting });
  await user.click(toggle("Notifications"));
  await user.click(toggle("Notifications"));
  expect(setSetting.mock.calls, "two at once may end in either order").toEqual([["notifications", "off"]]);
  ends[0]?.();
  await vi.waitFor(() => expect(setSetting).toHaveBeenLastCalledWith("notifications", "on"));
  ends[1]?.();
  await tick();
  expect(toggle("Notifications").checked).toBe(true);
});

test("without a tray there is none to go on in, and the reason stands there", async () => {
  await shown({}, { tray: false, start_at_login: false });
  expect(toggle("Keep running in the tray").disabled).toBe(true);
  expect(toggle("Keep running in the tray").checked).toBe(false);
  expect(screen.getByText("This desktop has no tray in which Keywheel could go on.")).toBeTruthy();
  expect(toggle("Start at login").disabled).toBe(false);
});

test("starting at login is the desktop's own, and goes back if it refuses", async () => {
  const user = userEvent.setup();
  const setStartAtLogin = vi.fn<Backend["setStartAtLogin"]>(async () => undefined);
  await shown({ setStartAtLogin });
  await user.click(toggle("Start at login"));
  expect(setStartAtLogin).toHaveBeenLastCalledWith(true);
  expect(await screen.findByText("Saved")).toBeTruthy();

  setStartAtLogin.mockRejectedValue(new Error("The folder can't be written."));
  await user.click(toggle("Start at login"));
  expect(await screen.findByText("The folder can't be written.")).toBeTruthy();
  expect(toggle("Start at login").checked, "it is still on").toBe(true);
});

test("where nobody knows what starts at login, it can't be chosen", async () => {
  await shown({}, { tray: true, start_at_login: null });
  expect(toggle("Start at login").disabled).toBe(true);
  expect(screen.getByText("This desktop does not say what starts at login.")).toBeTruthy();
});

test("a setting changed elsewhere is shown, and what is being typed stays", async () => {
  const { set } = await shown();
  const user = userEvent.setup();
  await user.clear(number("Stage timeout"));
  await user.type(number("Stage timeout"), "45");
  set(SETTINGS.map((setting) => (setting.unit === "seconds" ? { ...setting, value: "99" } : setting)));
  notices.hand({ notice: "catalogue" });
  await vi.waitFor(() => expect(number("Connection timeout").value).toBe("99"));
  expect(number("Stage timeout").value).toBe("45");
});

test("the data directory is copied by Rust", async () => {
  const { copy } = await shown();
  await userEvent.setup().click(screen.getByRole("button", { name: "Copy: Data directory" }));
  expect(copy).toHaveBeenCalledWith("/home/ana/.local/share/keywheel");
});

test("settings that can't be read are asked for again on request", async () => {
  let fail = true;
  const settings = async () => {
    if (fail) throw new Error("The database is busy.");
    return SETTINGS;
  };
  const backend = fakeBackend({ settings, desktop: async () => DESKTOP, opening: async () => OPENING });
  render(WithBackend, { backend, view: SettingsScreen as never, given: {} });
  expect(await screen.findByText("The database is busy.")).toBeTruthy();
  fail = false;
  await userEvent.setup().click(screen.getByRole("button", { name: "Try again" }));
  expect(await screen.findByRole("heading", { name: "Appearance" })).toBeTruthy();
});

test("a program that can't be run stays to be corrected, with the reason at its field", async () => {
  const report = { code: "bad-program", message: "It is no absolute path.", hint: "Give one.", subject: null };
  const setSetting = vi.fn<Backend["setSetting"]>((_, value) =>
    value === "note" ? Promise.reject(new BackendError(report)) : Promise.resolve(),
  );
  await shown({ setSetting });
  const field = number("Program after each change");
  await type(field, "note");
  expect(await screen.findByText("It is no absolute path.")).toBeTruthy();
  expect(field.value, "what was typed would be lost").toBe("note");
  await type(field, "/usr/local/bin/note");
  expect(setSetting.mock.calls.at(-1)).toEqual(["program-after-change", "/usr/local/bin/note"]);
  await vi.waitFor(() => expect(field.getAttribute("aria-invalid")).toBeNull());
});

test("automatic changes are paused at once, or until a day that exists", async () => {
  const user = userEvent.setup();
  const { setSetting } = await shown();
  const choose = async (option: string) => {
    await user.click(screen.getByRole("combobox", { name: "Pause automatic changes" }));
    await user.click(await screen.findByRole("option", { name: option }));
  };
  await choose("Until it is switched off");
  expect(setSetting.mock.calls).toEqual([["pause-automatic-changes", "on"]]);
  await choose("Until the end of a day");
  expect(setSetting, "no day is chosen yet").toHaveBeenCalledOnce();
  await type(number("Paused until the end of"), "24.12.");
  expect(await screen.findByText("Give a day as year-month-day, such as 2026-12-24.")).toBeTruthy();
  expect(setSetting).toHaveBeenCalledOnce();
  await type(number("Paused until the end of"), "2026-12-24");
  expect(setSetting.mock.calls.at(-1)).toEqual(["pause-automatic-changes", "2026-12-24"]);
  await choose("Off");
  expect(setSetting.mock.calls.at(-1)).toEqual(["pause-automatic-changes", "off"]);
});
