import { render, screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { router } from "../../app/router.svelte";
import type { Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { DeviceRow } from "../../generated/DeviceRow";
import type { Pin } from "../../generated/Pin";
import type { Scanned } from "../../generated/Scanned";
import { catalogue } from "../../messages/catalogue.svelte";
import DevicesScreen from "./DevicesScreen.svelte";
import { answer, deviceRow, offeredKey, report } from "./fixtures";
import WithBackend from "../../backend/WithBackend.svelte";

let stop: () => void;
beforeEach(() => {
  window.location.hash = "#/devices/scan?ids=all";
  stop = router.start();
});
afterEach(() => {
  stop();
  catalogue.choose("en");
});

const rowOf = (fingerprint: string) => {
  const row = screen.getAllByRole("row").find((each) => each.textContent.includes(`SHA256:${fingerprint}`));
  if (row === undefined) throw new Error(`no row shows ${fingerprint}`);
  return row;
};
const stateOf = (fingerprint: string) =>
  ["Pinned", "New", "Changed", "Matches known_hosts"].filter(
    (word) => within(rowOf(fingerprint)).queryByTitle(word) !== null,
  );
const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });

const ANSWERS = [
  answer(1, [offeredKey(1, "fresh"), offeredKey(1, "known", { algorithm: "ssh-rsa", matches_known_hosts: true })]),
  answer(2, [offeredKey(2, "other", { state: "changed", instead_of: ["SHA256:before"], matches_known_hosts: true })]),
  answer(3, [offeredKey(3, "same", { state: "pinned" })]),
  answer(4, [], report({ code: "unreachable", message: "web-4 did not answer.", hint: "Is it switched on?" })),
];

/** A catalogue that pins what it is told to, as the core does. */
function scanning(answers: Scanned[] = ANSWERS, more: Partial<Backend> = {}) {
  let devices: DeviceRow[] = [1, 2, 3, 4].map((id) => deviceRow(id));
  devices.push(deviceRow(5, { enabled: false }));
  const scanDevices = vi.fn<Backend["scanDevices"]>((_ids, onScanned) => {
    answers.forEach(onScanned);
    return Promise.resolve();
  });
  const pinHostKeys = vi.fn((pins: Pin[]) => {
    devices = devices.map((device) => ({
      ...device,
      host_keys: [
        ...device.host_keys,
        ...pins
          .filter((pin) => pin.device_id === device.id)
          .map(({ fingerprint }) => ({ algorithm: "ssh-ed25519", fingerprint, pinned_at: "2026-11-24T10:00:00Z" })),
      ],
    }));
    return Promise.resolve({ pinned: pins.length, failed: [] });
  });
  const backend = fakeBackend({
    devices: () => Promise.resolve(devices),
    scanDevices,
    pinHostKeys,
    copy: () => Promise.resolve(),
    ...more,
  });
  render(WithBackend, { backend, view: DevicesScreen });
  return { user: userEvent.setup(), scanDevices, pinHostKeys };
}

const finished = () => screen.findByText(/4 devices asked, 4 host keys offered/);

test("all enabled devices are asked at once, and nothing is pinned by it", async () => {
  const { scanDevices, pinHostKeys } = scanning();
  await finished();
  expect(scanDevices.mock.calls.map(([ids]) => ids)).toEqual([[1, 2, 3, 4]]);
  expect(screen.getByText(/1 disabled device is left out/)).toBeTruthy();
  expect(pinHostKeys).not.toHaveBeenCalled();
  expect([stateOf("fresh"), stateOf("known"), stateOf("other"), stateOf("same")]).toEqual([
    ["New"],
    ["Matches known_hosts"],
    ["Changed"],
    ["Pinned"],
  ]);
});

test("only the devices that an address names are asked", async () => {
  router.replace("devices", null, "scan", { ids: "3,5,77" });
  const { scanDevices } = scanning();
  await waitFor(() => expect(scanDevices.mock.calls.map(([ids]) => ids)).toEqual([[3]]));
});

test("nothing to ask is said", async () => {
  router.replace("devices", null, "scan", { ids: "5" });
  const { scanDevices } = scanning();
  expect(await screen.findByRole("heading", { name: "No device to scan" })).toBeTruthy();
  expect(scanDevices).not.toHaveBeenCalled();
});

test("“Pin the matching” pins new keys that known_hosts names, and no other", async () => {
  const { user, pinHostKeys } = scanning();
  await finished();
  await user.click(button("Pin the matching"));
  await waitFor(() => expect(stateOf("known")).toEqual(["Pinned"]));
  expect(pinHostKeys.mock.calls).toEqual([[[{ device_id: 1, fingerprint: "SHA256:known", replace: false }]]]);
  expect([stateOf("fresh"), stateOf("other")]).toEqual([["New"], ["Changed"]]);
  expect(screen.getByText("1 host key is pinned.")).toBeTruthy();
  expect(button("Pin the matching").disabled).toBe(true);
});

test("nothing is chosen before a person chooses, and a changed key can't be chosen", async () => {
  const { user, pinHostKeys } = scanning();
  await finished();
  expect(button("Pin selected").disabled).toBe(true);
  await user.click(screen.getByRole("checkbox", { name: "Select all shown" }));
  expect(within(rowOf("other")).queryByRole("checkbox"), "a changed key is offered with the others").toBeNull();
  expect(screen.getByText("2 selected")).toBeTruthy();
  await user.click(button("Pin selected"));
  await waitFor(() => expect(stateOf("fresh")).toEqual(["Pinned"]));
  const pinned = pinHostKeys.mock.calls.flatMap(([pins]) => pins.map((pin) => pin.fingerprint));
  expect(pinned.sort()).toEqual(["SHA256:fresh", "SHA256:known"]);
  expect(screen.getByText("none selected")).toBeTruthy();
});

test("a changed key is shown old beside new, and accepted by a decision about it alone", async () => {
  const { user, pinHostKeys } = scanning();
  await finished();
  expect(rowOf("other").textContent).toContain("SHA256:before");
  await user.click(button("Decide…"));
  const dialog = await screen.findByRole("dialog", { name: "Another host key of web-2" });
  expect(within(dialog).getByText("SHA256:before")).toBeTruthy();
  expect(within(dialog).getByText("SHA256:other")).toBeTruthy();
  expect(within(dialog).getByText("+--[ED25519 256]--+")).toBeTruthy();
  await waitFor(() => expect(document.activeElement?.textContent.trim()).toBe("Keep the pinned key"));
  await user.click(within(dialog).getByRole("button", { name: "Keep the pinned key" }));
  expect(pinHostKeys, "keeping is no change").not.toHaveBeenCalled();
  await user.click(button("Decide…"));
  await user.click(await screen.findByRole("button", { name: "Accept the new key" }));
  await waitFor(() => expect(stateOf("other")).toEqual(["Pinned"]));
  expect(pinHostKeys.mock.calls).toEqual([[[{ device_id: 2, fingerprint: "SHA256:other", replace: true }]]]);
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("what could not be pinned is said, and stays as it was", async () => {
  const failed = [report({ message: "“web-1” has another host key pinned.", subject: "web-1" })];
  const { user } = scanning(ANSWERS, { pinHostKeys: () => Promise.resolve({ pinned: 0, failed }) });
  await finished();
  await user.click(button("Pin the matching"));
  await screen.findByText("“web-1” has another host key pinned.");
  expect(stateOf("known")).toEqual(["Matches known_hosts"]);
  expect(screen.queryByText(/is pinned\.$/), "a success that was none").toBeNull();
});

test("a device that did not answer is listed with its cause and what to do", async () => {
  const { user } = scanning();
  await finished();
  await user.click(screen.getByRole("tab", { name: /Not reached \(1\)/ }));
  const table = screen.getByRole("grid", { name: "Devices that could not be reached" });
  expect(within(table).getByText("web-4 did not answer.")).toBeTruthy();
  await user.click(within(table).getByRole("row", { name: "web-4" }));
  const dialog = await screen.findByRole("dialog", { name: "web-4" });
  expect(within(dialog).getByText("Is it switched on?")).toBeTruthy();
  expect(within(dialog).getByRole("button", { name: "Copy details" })).toBeTruthy();
});

test("while it runs its progress stands there, nothing can be pinned, and it can be stopped", async () => {
  let settle: () => void = () => undefined;
  const stopScan = vi.fn(() => {
    settle();
    return Promise.resolve();
  });
  const { user, pinHostKeys } = scanning(ANSWERS, {
    scanDevices: (_ids, onScanned) => {
      onScanned(ANSWERS[0]!);
      return new Promise((resolve) => (settle = resolve));
    },
    stopScan,
  });
  expect(await screen.findByRole("progressbar", { name: "Asking devices: 1 of 4" })).toBeTruthy();
  expect(button("Pin the matching").disabled).toBe(true);
  press(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true }));
  expect(pinHostKeys).not.toHaveBeenCalled();
  await user.click(button("Stop"));
  expect(await screen.findByText(/Stopped: 1 of 4 devices asked/)).toBeTruthy();
  expect(stopScan).toHaveBeenCalledOnce();
  expect(button("Pin the matching").disabled, "what was found is lost").toBe(false);
});

test("leaving the page stops the scan", async () => {
  const stopScan = vi.fn(() => Promise.resolve());
  scanning(ANSWERS, { scanDevices: () => new Promise(() => undefined), stopScan });
  await screen.findByRole("progressbar");
  router.replace("devices");
  await waitFor(() => expect(stopScan).toHaveBeenCalledOnce());
});

test("the keys of a thousand devices are few rows", async () => {
  const many = Array.from({ length: 1000 }, (_, index) => answer(index, [offeredKey(index, `k${index}`), offeredKey(index, `r${index}`)]));
  scanning(many);
  expect(await screen.findByText(/2,000 host keys offered/)).toBeTruthy();
  expect(screen.getAllByRole("row").length).toBeLessThan(70);
});

test.each(["en", "pt-BR"] as const)("the scan is accessible in %s", async (language) => {
  catalogue.choose(language);
  const { user } = scanning();
  await screen.findByText(language === "en" ? /4 host keys offered/ : /4 chaves de host oferecidas/);
  const rules = { "color-contrast": { enabled: false }, region: { enabled: false } };
  const wrong = async (within: Element) => (await axe.run(within, { rules })).violations.map((each) => each.id);
  expect(await wrong(document.body)).toEqual([]);
  await user.click(button(language === "en" ? "Decide…" : "Decidir…"));
  expect(await wrong(await screen.findByRole("dialog"))).toEqual([]);
});
