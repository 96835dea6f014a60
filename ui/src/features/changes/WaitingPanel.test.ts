import { screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { expect, test, vi } from "vitest";

import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import { shown } from "./shown";
import { page } from "./testing";
import WaitingPanel from "./WaitingPanel.svelte";

function open(at: string, stepChange: Backend["stepChange"]) {
  const waiting = page([], { state: "scheduled", here: false, possible: ["run", "cancel"] });
  const onstep = vi.fn();
  const given = { page: { ...waiting, change: { ...waiting.change, scheduled_for: at } }, onstep };
  return { onstep, ...shown(WaitingPanel, given, fakeBackend({ stepChange })) };
}

test("a change that waits says when it begins, and can be begun or taken back", async () => {
  const user = userEvent.setup();
  const stepChange = vi.fn<Backend["stepChange"]>((id) => Promise.resolve(id));
  const { onstep, container } = open("2999-12-24T22:00:00Z", stepChange);
  expect(screen.getByRole("status").textContent).toMatch(/Begins .*2999/);
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  expect((await axe.run(container, rules)).violations).toEqual([]);
  await user.click(screen.getByRole("button", { name: "Run now" }));
  await user.click(screen.getByRole("button", { name: "Cancel" }));
  expect(stepChange.mock.calls.map(([, step]) => step)).toEqual(["run", "cancel"]);
  expect(onstep).toHaveBeenCalledTimes(2);
});

test("one whose time is over says what it waits for, and why it can't be begun stands there", async () => {
  const report = { code: "keyring-locked", message: "The keyring is locked.", hint: "Unlock it.", subject: null };
  open("2001-01-01T22:00:00Z", () => Promise.reject(new BackendError(report)));
  expect(screen.getByRole("status").textContent).toContain("as soon as the keyring can be used");
  await userEvent.setup().click(screen.getByRole("button", { name: "Run now" }));
  expect(await screen.findByText("The keyring is locked.")).toBeTruthy();
});
