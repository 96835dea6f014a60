import { render, screen, waitFor } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";

import { unsaved } from "../../app/guard.svelte";
import { BackendError } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { DeviceRow } from "../../generated/DeviceRow";
import type { NewDevice } from "../../generated/NewDevice";
import { catalogue } from "../../messages/catalogue.svelte";
import DeviceDialog from "./DeviceDialog.svelte";
import { credentialRow, deviceRow, report } from "./fixtures";
import WithBackend from "../../backend/WithBackend.svelte";

afterEach(() => {
  catalogue.choose("en");
  unsaved.answer(false);
});

function opened(device: DeviceRow | null = null, save?: (id: number | null, form: NewDevice) => Promise<DeviceRow>) {
  const saveDevice = vi.fn(save ?? (() => Promise.resolve(deviceRow(9))));
  const [onclose, onsaved] = [vi.fn(), vi.fn()];
  const backend = fakeBackend({
    devices: () => Promise.resolve([deviceRow(1, { tags: ["edge"] }), deviceRow(2)]),
    credentials: () => Promise.resolve([credentialRow(7, { name: "hop" })]),
    saveDevice,
    copy: () => Promise.resolve(),
  });
  const given = { open: true, device, onclose, onsaved };
  render(WithBackend, { backend, view: DeviceDialog, given });
  return { user: userEvent.setup(), saveDevice, onclose, onsaved };
}

const field = (name: string) => screen.getByRole<HTMLInputElement>("textbox", { name });
const combo = (name: string) => screen.getByRole<HTMLInputElement>("combobox", { name });

test("a device is saved with what was entered", async () => {
  const { user, saveDevice, onsaved } = opened();
  await user.type(field("Name"), "db-1");
  await user.type(field("Address"), "192.0.2.9");
  await user.clear(field("Port"));
  await user.type(field("Port"), "2222");
  await user.click(screen.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(onsaved).toHaveBeenCalledWith(deviceRow(9)));
  expect(saveDevice).toHaveBeenCalledExactlyOnceWith(null, {
    name: "db-1",
    address: "192.0.2.9",
    port: 2222,
    jump: null,
    jump_with: null,
    tags: [],
    authorized_keys_path: "",
    enabled: true,
  });
});

test("what is missing stands at its field, and nothing is sent", async () => {
  const { user, saveDevice } = opened();
  await user.type(field("Address"), "192.0.2.9");
  await user.click(screen.getByRole("button", { name: "Save" }));
  expect(field("Name").getAttribute("aria-invalid")).toBe("true");
  expect(field("Address").getAttribute("aria-invalid")).toBeNull();
  await waitFor(() => expect(document.activeElement).toBe(field("Name")));
  expect(saveDevice).not.toHaveBeenCalled();
});

test("an error of the core stands at its field, and what was entered stays", async () => {
  const taken = new BackendError(report({ message: "The name is taken.", hint: "Choose another.", field: "name" }));
  const { user, onsaved } = opened(deviceRow(2), () => Promise.reject(taken));
  await user.clear(field("Name"));
  await user.type(field("Name"), "web-1");
  await user.click(screen.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(field("Name").getAttribute("aria-invalid")).toBe("true"));
  expect(screen.getByText("The name is taken.")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Copy details" }), "it is said twice").toBeNull();
  expect(field("Name").value).toBe("web-1");
  expect(onsaved).not.toHaveBeenCalled();
});

test("an error that is about no field stands in a notice with its details", async () => {
  const { user } = opened(deviceRow(2), () => Promise.reject(new BackendError(report({ message: "The disk is full." }))));
  await user.click(screen.getByRole("button", { name: "Save" }));
  await screen.findByText("The disk is full.");
  expect(screen.getByRole("button", { name: "Copy details" })).toBeTruthy();
  expect(document.querySelector("[aria-invalid='true']")).toBeNull();
});

test("a device is not offered as its own jump device", async () => {
  const { user } = opened(deviceRow(2));
  await user.click(combo("Jump device"));
  const options = (await screen.findAllByRole("option", { hidden: true })).map((option) => option.textContent);
  expect(options.some((text) => text.includes("web-1"))).toBe(true);
  expect(options.some((text) => text.includes("web-2")), "it would lead back to itself").toBe(false);
});

test("the credential for the jump device is active only with a jump device, and goes with it", async () => {
  const { user, saveDevice } = opened(deviceRow(2, { jump: "web-1", jump_id: 1, jump_with: "hop", jump_with_id: 7 }));
  expect(combo("Credential for the jump device").disabled).toBe(false);
  await user.click(combo("Jump device"));
  await user.keyboard("{Home}{Enter}");
  expect(combo("Credential for the jump device").disabled).toBe(true);
  await user.click(screen.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(saveDevice).toHaveBeenCalled());
  expect(saveDevice.mock.calls[0]?.[1]).toMatchObject({ jump: null, jump_with: null });
});

test("Ctrl+S saves", async () => {
  const { user, saveDevice } = opened(deviceRow(2));
  await waitFor(() => expect(document.activeElement).toBe(field("Name")));
  await user.keyboard("{Control>}s{/Control}");
  await waitFor(() => expect(saveDevice).toHaveBeenCalledOnce());
});

test("Escape closes at once when nothing was entered", async () => {
  const { user, onclose } = opened(deviceRow(2));
  await waitFor(() => expect(document.activeElement).toBe(field("Name")));
  await user.keyboard("{Escape}");
  await waitFor(() => expect(onclose).toHaveBeenCalledOnce());
  expect(unsaved.asking).toBe(false);
});

test("Escape asks when something was entered, and staying keeps it", async () => {
  const { user, onclose } = opened(deviceRow(2));
  await user.type(field("Name"), "x");
  await user.keyboard("{Escape}");
  await waitFor(() => expect(unsaved.asking).toBe(true));
  unsaved.answer(false);
  await Promise.resolve();
  expect(onclose).not.toHaveBeenCalled();
  expect(field("Name").value).toBe("web-2x");
  await user.click(screen.getByRole("button", { name: "Cancel" }));
  await waitFor(() => expect(unsaved.asking).toBe(true));
  unsaved.answer(true);
  await waitFor(() => expect(onclose).toHaveBeenCalledOnce());
});

test("a new address says what becomes of the pinned host keys", async () => {
  const pinned = { algorithm: "ssh-ed25519", fingerprint: "SHA256:a", pinned_at: "2026-11-24T10:00:00Z" };
  const { user } = opened(deviceRow(2, { host_keys: [pinned] }));
  expect(screen.queryByText(/The pinned host keys stay/)).toBeNull();
  await user.type(field("Address"), "0");
  expect(screen.getByText(/The pinned host keys stay/)).toBeTruthy();
});

test.each(["en", "pt-BR"] as const)("the form is accessible in %s", async (language) => {
  catalogue.choose(language);
  opened(deviceRow(2));
  const dialog = await screen.findByRole("dialog");
  const found = await axe.run(dialog, { rules: { "color-contrast": { enabled: false } } });
  expect(found.violations.map((violation) => `${violation.id}: ${violation.help}`)).toEqual([]);
});
