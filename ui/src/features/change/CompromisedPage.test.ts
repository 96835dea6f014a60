import { screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { router } from "../../app/router.svelte";
import type { Backend } from "../../backend/backend";
import type { OtherKey } from "../../generated/OtherKey";
import { catalogue } from "../../messages/catalogue.svelte";
import { shown } from "../changes/shown";
import { credential } from "../changes/testing";
import CompromisedPage from "./CompromisedPage.svelte";
import { checkingBackend, sent } from "./testing";

afterEach(() => {
  catalogue.choose("en");
  vi.restoreAllMocks();
});

const admin = credential({ id: 9, name: "admin", username: "root", device_ids: [] });
const thief: OtherKey = {
  file: "/home/deploy/.ssh/authorized_keys2",
  line: 3,
  key_type: "ssh-ed25519",
  fingerprint: "SHA256:thief",
  comment: "nobody@nowhere",
  options: "no-pty",
  certificate_authority: false,
};

async function open(more: Partial<Backend> = {}) {
  const row = credential();
  const made = checkingBackend([row, admin], more);
  const drawn = shown(CompromisedPage, { credential: row.id }, made.backend);
  await screen.findByRole("button", { name: "Options" });
  return { ...made, ...drawn };
}

const main = () => screen.getByRole<HTMLButtonElement>("button", { name: /^Change the compromised key/ });
const name = () => screen.getByRole("textbox", { name: /Type the credential’s name/ });

test("the page says what differs, and the button waits for the credential's name alone", async () => {
  const user = userEvent.setup();
  const beginChange = vi.fn(() => Promise.resolve(12));
  const replace = vi.spyOn(router, "replace").mockImplementation(() => undefined);
  await open({ beginChange });
  for (const what of [/does not stop the others/, /There is no way back/, /kept only to remove itself/, /Sessions that are open stay open/]) {
    expect(screen.getByText(what)).toBeTruthy();
  }
  expect(main().disabled).toBe(true);
  expect(document.getElementById(main().getAttribute("aria-describedby") ?? "")?.textContent).toBe(
    "Type the credential’s name to go on.",
  );
  await user.type(name(), "deplo");
  press(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, cancelable: true }));
  expect(main().disabled).toBe(true);
  expect(beginChange).not.toHaveBeenCalled();
  await user.type(name(), "y");
  expect(main().disabled, "a thief does not wait for checks").toBe(false);
  await user.click(main());
  expect(beginChange).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ kind: "rotate", strategy: "emergency", on_failure: null, leave_out: [], at_once: 1 }),
  );
  expect(replace).toHaveBeenCalledExactlyOnceWith("changes", 12);
});

test("a device that is not ready keeps nobody from beginning", async () => {
  const user = userEvent.setup();
  const { asked } = await open();
  asked[0]?.send(sent(10, ["unreachable"]));
  asked[0]?.end();
  await screen.findByText("Do something about unreachable.");
  await user.type(name(), "deploy");
  expect(main().disabled).toBe(false);
});

test("the other keys of each device are told, and listed with what finds them", async () => {
  const user = userEvent.setup();
  const { asked } = await open();
  const finding = sent(20);
  asked[0]?.send({ ...finding, finding: { ...finding.finding, other_keys: [thief] } });
  asked[0]?.send(sent(10));
  asked[0]?.send(sent(30));
  asked[0]?.end();
  await screen.findByText("1 other key on 1 device");
  await user.click(screen.getByRole("button", { name: /^2: web-2/ }));
  const keys = within(await screen.findByRole("region", { name: "Other keys" }));
  expect(keys.getByText("nobody@nowhere")).toBeTruthy();
  expect(keys.getByText("ssh-ed25519 SHA256:thief")).toBeTruthy();
  expect(keys.getByText("no-pty")).toBeTruthy();
  expect(keys.getByText("/home/deploy/.ssh/authorized_keys2, line 3")).toBeTruthy();
});

test("what an emergency never does can't be chosen", async () => {
  const user = userEvent.setup();
  await open();
  await user.click(screen.getByRole("button", { name: "Options" }));
  expect(screen.queryByRole("group", { name: "Strategy" })).toBeNull();
  expect(screen.queryByRole("group", { name: "If a device fails" })).toBeNull();
  const atOnce = screen.getByRole("textbox", { name: "Devices at once" });
  await user.clear(atOnce);
  await user.type(name(), "deploy");
  expect(main().disabled, "no number of devices at once").toBe(true);
});

test("a change that can't begin says why", async () => {
  const user = userEvent.setup();
  await open({ beginChange: () => Promise.reject(new Error("busy")) });
  await user.type(name(), "deploy");
  await user.click(main());
  expect((await screen.findByRole("alert")).textContent).toContain("busy");
  expect(main().disabled).toBe(false);
});

test.each(["en", "pt-BR"] as const)("the page can be used by everybody in %s", async (language) => {
  catalogue.choose(language);
  const row = credential();
  const made = checkingBackend([row, admin]);
  const { container } = shown(CompromisedPage, { credential: row.id }, made.backend);
  await waitFor(() => expect(made.asked).toHaveLength(1));
  made.asked[0]?.send(sent(10));
  made.asked[0]?.end();
  const found = await axe.run(container, { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } });
  expect(found.violations.map((violation) => violation.id)).toEqual([]);
});
