import { screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { router } from "../../app/router.svelte";
import type { Backend } from "../../backend/backend";
import type { CredentialRow } from "../../generated/CredentialRow";
import { catalogue } from "../../messages/catalogue.svelte";
import { shown } from "../changes/shown";
import { credential, unreachable, unreachableInPortuguese } from "../changes/testing";
import ChangeKeyPage from "./ChangeKeyPage.svelte";
import { checkingBackend, sent, type AskedCheck } from "./testing";

afterEach(() => {
  catalogue.choose("en");
  vi.restoreAllMocks();
});

const admin = credential({ id: 9, name: "admin", username: "root", device_ids: [] });

async function open(kind: "rotate" | "install" = "rotate", row: CredentialRow = credential(), more: Partial<Backend> = {}) {
  const made = checkingBackend([row, admin], more);
  const drawn = shown(ChangeKeyPage, { credential: row.id, kind }, made.backend);
  await screen.findByRole("button", { name: "Options" });
  return { ...made, ...drawn };
}

function answer(asked: AskedCheck | undefined, ...findings: Parameters<typeof sent>[]) {
  findings.forEach((finding) => asked?.send(sent(...finding)));
  asked?.end();
}

const rows = () => screen.getAllByRole("button", { name: /^\d: web-/ }).map((row) => row.getAttribute("aria-label"));
const main = (name: RegExp | string) => screen.getByRole<HTMLButtonElement>("button", { name });
const reason = () => document.getElementById("change-reason")?.textContent;

test("the page says what will be done, and checks every device at once", async () => {
  const { asked } = await open();
  expect(screen.getByText(/Change the key of/).textContent).toBe(
    "Change the key of deploy on 3 devices, one at a time, starting with web-1",
  );
  expect(asked).toHaveLength(1);
  expect(asked[0]).toMatchObject({ only: null, request: { kind: "rotate", credential: 3, leave_out: [] } });
  expect(rows()).toEqual(["1: web-1 10.0.0.10, Checking", "2: web-2 10.0.0.20, Checking", "3: web-3 10.0.0.30, Checking"]);
});

test("the button waits for the checks, says why, and then begins the change in place of this page", async () => {
  const user = userEvent.setup();
  const beginChange = vi.fn(() => Promise.resolve(12));
  const replace = vi.spyOn(router, "replace").mockImplementation(() => undefined);
  const { asked } = await open("rotate", credential(), { beginChange });
  expect(main("Change key on 3 devices").disabled).toBe(true);
  expect(reason()).toBe("Checks are running: 0 of 3.");
  asked[0]?.send(sent(10));
  await waitFor(() => expect(reason()).toBe("Checks are running: 1 of 3."));
  answer(asked[0], [20], [30]);
  await waitFor(() => expect(main("Change key on 3 devices").disabled).toBe(false));
  expect(screen.getByText("3 devices: 1 line, no options")).toBeTruthy();
  await user.click(main("Change key on 3 devices"));
  expect(beginChange).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ kind: "rotate", leave_out: [], connect_with: "itself" }));
  expect(replace).toHaveBeenCalledExactlyOnceWith("changes", 12);
});

test("what is not ready comes first with its remedy, and can be left out and taken back", async () => {
  const user = userEvent.setup();
  const beginChange = vi.fn(() => Promise.resolve(12));
  vi.spyOn(router, "replace").mockImplementation(() => undefined);
  const { asked } = await open("rotate", credential(), { beginChange });
  answer(asked[0], [10], [20, [], ["expiry-time"]], [30, ["unreachable"]]);
  await waitFor(() => expect(rows()).toEqual(["3: web-3 10.0.0.30, Not ready", "2: web-2 10.0.0.20, Ready, with a warning", "1: web-1 10.0.0.10, Ready"]));
  expect(screen.getByText("Do something about unreachable.")).toBeTruthy();
  expect(main("Change key on 3 devices").disabled).toBe(true);
  expect(reason()).toBe("1 device is not ready.");

  await user.click(screen.getByRole("button", { name: "Leave out the one that is not ready" }));
  expect(main("Change key on 2 devices").disabled).toBe(false);
  expect(rows()).toContain("3: web-3 10.0.0.30, Left out");
  await user.click(screen.getByRole("button", { name: "Take web-3 back in" }));
  expect(main("Change key on 3 devices").disabled).toBe(true);
  await user.click(screen.getByRole("button", { name: "Leave out the one that is not ready" }));
  await user.click(main("Change key on 2 devices"));
  expect(beginChange).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ leave_out: [30] }));
});

test("the original device can't be left out, and the page says so", async () => {
  const { asked } = await open();
  answer(asked[0], [10, ["unreachable"]], [20], [30]);
  await waitFor(() => expect(reason()).toMatch(/original device is always changed first.*web-1/));
  expect(screen.queryByRole("button", { name: /Leave out/ })).toBeNull();
});

test("Check again asks only the device that it stands beside", async () => {
  const user = userEvent.setup();
  const { asked } = await open();
  answer(asked[0], [10], [20, ["refused"]], [30]);
  await user.click(await screen.findByRole("button", { name: "Check web-2 again" }));
  expect(asked[1]?.only).toEqual([20]);
  expect(rows()).toContain("2: web-2 10.0.0.20, Checking");
  answer(asked[1], [20]);
  await waitFor(() => expect(main("Change key on 3 devices").disabled).toBe(false));
});

test("another credential to connect with is checked anew, another strategy is not", async () => {
  const user = userEvent.setup();
  const { asked } = await open();
  answer(asked[0], [10], [20], [30]);
  await waitFor(() => expect(main("Change key on 3 devices").disabled).toBe(false));
  await user.click(screen.getByRole("button", { name: "Options" }));
  await user.click(screen.getByRole("radio", { name: "Device by device" }));
  expect(asked).toHaveLength(1);
  expect(screen.getByText(/device by device · a failure takes everything back/)).toBeTruthy();
  await user.click(screen.getByRole("combobox", { name: "Connect with" }));
  await user.click(await screen.findByRole("option", { name: /admin/ }));
  await waitFor(() => expect(asked).toHaveLength(2));
  expect(asked[1]?.request.connect_with).toEqual({ credential: 9 });
  expect(main("Change key on 3 devices").disabled).toBe(true);
  asked[0]?.send(sent(10));
  expect(rows(), "a finding of the earlier check counts").toContain("1: web-1 10.0.0.10, Checking");
});

test("a device count that can't be used keeps the button off", async () => {
  const user = userEvent.setup();
  const { asked } = await open();
  answer(asked[0], [10], [20], [30]);
  await waitFor(() => expect(main("Change key on 3 devices").disabled).toBe(false));
  await user.click(screen.getByRole("button", { name: "Options" }));
  const field = screen.getByRole("textbox", { name: "Devices at once" });
  await user.clear(field);
  expect(main("Change key on 3 devices").disabled).toBe(true);
  expect(field.getAttribute("aria-invalid")).toBe("true");
  await user.type(field, "8");
  expect(screen.getByText(/up to 8 at once/)).toBeTruthy();
  expect(main("Change key on 3 devices").disabled).toBe(false);
});

test("host keys that are not known lead to the scan of just these devices", async () => {
  const { asked } = await open();
  answer(asked[0], [10], [20, ["host-key-unknown"]], [30, ["host-key-changed"]]);
  const link = await screen.findByRole("link", { name: "Look at the host keys of 2 devices" });
  expect(decodeURIComponent(link.getAttribute("href") ?? "")).toBe("#/devices/scan?ids=20,30");
});

test("a row opens what would be written", async () => {
  const user = userEvent.setup();
  const { asked } = await open();
  answer(asked[0], [10], [20], [30]);
  await user.click(await screen.findByRole("button", { name: "2: web-2 10.0.0.20, Ready" }));
  expect(screen.getByText(/AAAAnew/)).toBeTruthy();
});

test("checks that can't be made say why, and a change that can't begin, too", async () => {
  const begun = vi.fn(() => Promise.reject(new Error("A change of it is open.")));
  const { asked } = await open("rotate", credential(), { beginChange: begun });
  asked[0]?.fail(new Error("The keyring is locked."));
  expect((await screen.findByRole("alert")).textContent).toContain("The keyring is locked.");
  expect(main("Change key on 3 devices").disabled).toBe(true);
  await userEvent.click(screen.getByRole("button", { name: "Check all again" }));
  answer(asked[1], [10], [20], [30]);
  await waitFor(() => expect(main("Change key on 3 devices").disabled).toBe(false));
  press(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, cancelable: true }));
  expect((await screen.findByRole("alert")).textContent).toContain("A change of it is open.");
});

test("an installation needs a credential to connect with, and then checks with it", async () => {
  const user = userEvent.setup();
  const { asked } = await open("install");
  expect(asked).toHaveLength(0);
  expect(main("Install key on 3 devices").disabled).toBe(true);
  expect(reason()).toBe("Choose in “Options” what to connect with.");
  await user.click(screen.getByRole("combobox", { name: "Connect with" }));
  expect(screen.queryByRole("option", { name: "The key itself" }), "a key that is not there yet can't connect").toBeNull();
  await user.click(await screen.findByRole("option", { name: /admin/ }));
  await waitFor(() => expect(asked).toHaveLength(1));
  expect(asked[0]?.request).toMatchObject({ kind: "install", connect_with: { credential: 9 } });
  await user.type(screen.getByRole("textbox", { name: "Options for the line" }), "no-pty");
  await waitFor(() => expect(asked).toHaveLength(2), { timeout: 2000 });
  expect(asked[1]?.request.options).toBe("no-pty");
  answer(asked[1], [10], [20], [30]);
  await waitFor(() => expect(main("Install key on 3 devices").disabled).toBe(false));
});

test("other choices are checked anew, and nothing is sent that could stop the new check", async () => {
  const user = userEvent.setup();
  const stopCheck = vi.fn(() => Promise.resolve());
  const { asked } = await open("rotate", credential(), { stopCheck });
  await user.click(screen.getByRole("button", { name: "Options" }));
  await user.click(screen.getByRole("combobox", { name: "Connect with" }));
  await user.click(await screen.findByRole("option", { name: /admin/ }));
  await waitFor(() => expect(asked).toHaveLength(2));
  expect(stopCheck, "it may overtake the new check, whose devices would stay unchecked").not.toHaveBeenCalled();
  answer(asked[1], [10], [20], [30]);
  await waitFor(() => expect(main("Change key on 3 devices").disabled).toBe(false));
});

test("leaving the page ends the checks", async () => {
  const stopCheck = vi.fn(() => Promise.resolve());
  const { unmount } = await open("rotate", credential(), { stopCheck });
  expect(stopCheck).not.toHaveBeenCalled();
  unmount();
  expect(stopCheck).toHaveBeenCalledOnce();
});

test("five hundred devices are drawn a window at a time", async () => {
  const ids = Array.from({ length: 500 }, (_, index) => (index + 1) * 10);
  const { asked } = await open("rotate", credential({ device_ids: ids }));
  ids.forEach((id) => asked[0]?.send(sent(id)));
  asked[0]?.end();
  await waitFor(() => expect(main("Change key on 500 devices").disabled).toBe(false));
  expect(screen.getAllByRole("button", { name: /^\d+: web-/ }).length).toBeLessThanOrEqual(70);
});

test("the page is no fault to axe, and speaks Portuguese", async () => {
  const { asked, container } = await open();
  answer(asked[0], [10], [20, ["refused"]], [30]);
  await screen.findByRole("button", { name: "2: web-2 10.0.0.20, Not ready" });
  await userEvent.click(screen.getByRole("button", { name: "2: web-2 10.0.0.20, Not ready" }));
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  expect((await axe.run(container, rules)).violations).toEqual([]);
  catalogue.choose("pt-BR");
  await screen.findByRole("heading", { level: 1, name: "Trocar chave agora" });
  expect(within(container).getByText(/Trocar a chave de/).textContent).toBe(
    "Trocar a chave de deploy em 3 dispositivos, um por vez, começando por web-1",
  );
});

test("what a check found is Portuguese as soon as that is chosen, and English for whoever is asked for help", async () => {
  const user = userEvent.setup();
  const copy = vi.fn(() => Promise.resolve());
  const { asked, container } = await open("rotate", credential(), { copy });
  answer(asked[0], [10], [20, [unreachable]], [30]);
  await screen.findByText(unreachable.message);
  catalogue.choose("pt-BR");
  const { message, hint } = unreachableInPortuguese;
  expect(await within(container).findByText(message)).toBeTruthy();
  expect(within(container).getByText(hint)).toBeTruthy();
  expect(container.textContent).not.toContain(unreachable.message);

  await user.click(screen.getByRole("button", { name: "2: web-2 10.0.0.20, Não está pronto" }));
  expect(within(await screen.findByRole("alert")).getByText(message)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Copiar detalhes" }));
  expect(copy).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(unreachable.message));
});

test("above the button stands on which devices this key is the only way in, and nothing more is asked", async () => {
  const { asked } = await open();
  answer(asked[0], [10, [], ["only-key"]], [20], [30, [], ["managed-file", "only-key"]]);
  expect(await screen.findByText("On 2 devices this key is the only way in: web-1 and web-3")).toBeTruthy();
  expect(main("Change key on 3 devices").disabled).toBe(false);
});

test("a change can be asked for at a time, also while a device is not ready", async () => {
  const user = userEvent.setup();
  const requestChange = vi.fn<Backend["requestChange"]>(() => Promise.resolve(12));
  const replace = vi.spyOn(router, "replace").mockImplementation(() => undefined);
  const { asked } = await open("rotate", credential(), { requestChange });
  answer(asked[0], [10], [20, ["unreachable"]], [30]);
  await user.click(screen.getByRole("button", { name: "Options" }));
  await user.click(screen.getByRole("radio", { name: "At…" }));
  expect(main("Change key on 3 devices").disabled, "no time is given").toBe(true);
  expect(reason()).toBe("Say when it begins.");
  const field = screen.getByRole("textbox", { name: "Begins at" });
  await user.type(field, "2001-01-01 22:00");
  expect(screen.getByText("This time is over.")).toBeTruthy();
  await user.clear(field);
  await user.type(field, "2999-12-24 22:00");
  expect(screen.getByText(/That is .*2999/)).toBeTruthy();
  await user.click(main(/^Change key on 3 devices at .*2999/));
  const [request, at] = requestChange.mock.calls[0] ?? [];
  expect([request?.kind, request?.credential, at]).toEqual(["rotate", 3, new Date(2999, 11, 24, 22).toISOString()]);
  await waitFor(() => expect(replace).toHaveBeenCalledWith("changes", 12));
});

test("devices that were seen to hold up the others are left out from the start", async () => {
  const made = checkingBackend([credential(), admin]);
  shown(ChangeKeyPage, { credential: 3, kind: "rotate" as const, leave: [20] }, made.backend);
  expect(await screen.findByText("1 device is left out: it stays on the old key until “Retry failed”.")).toBeTruthy();
  answer(made.asked[0], [10], [30]);
  await waitFor(() => expect(main("Change key on 2 devices").disabled).toBe(false));
});
