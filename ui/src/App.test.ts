import { render, screen, waitFor } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";

import App from "./App.svelte";
import { notices } from "./app/notices.svelte";
import { BackendError } from "./backend/backend";
import { fakeBackend } from "./backend/fake";

const LOCKED = new BackendError({ code: "keyring-locked", message: "The keyring is locked.", hint: "Unlock it.", subject: null });
const TITLE = "The keyring can’t be used";

/** The app over a keyring that a test locks and unlocks. */
function app(locked: boolean) {
  const keyring = { locked };
  const opening = { version: "1", system: "linux", data_dir: "/data", locale: "en", problem: null };
  const backend = fakeBackend({
    opening: () => Promise.resolve(opening),
    settings: () => Promise.resolve([]),
    watch: () => Promise.resolve(),
    checkKeyring: () => (keyring.locked ? Promise.reject(LOCKED) : Promise.resolve()),
    changes: () => Promise.resolve([]),
    credentials: () => Promise.resolve([]),
    devices: () => Promise.resolve([]),
  });
  render(App, { backend });
  return keyring;
}

test("a keyring that is locked at the start is all that is shown", async () => {
  app(true);
  await screen.findByRole("heading", { name: TITLE });
  expect(screen.queryByRole("link", { name: "Devices" })).toBeNull();
  await userEvent.click(screen.getByRole("button", { name: "Look around meanwhile" }));
  await screen.findByRole("link", { name: "Devices" });
});

test("a keyring that is locked later is said above the screens, which stay as they are", async () => {
  const keyring = app(false);
  const devices = await screen.findByRole("link", { name: "Devices" });
  keyring.locked = true;
  notices.hand({ notice: "catalogue" });
  await userEvent.click(await screen.findByRole("button", { name: "Show how" }));
  await screen.findByRole("heading", { name: TITLE });
  expect(devices.closest(".below")).not.toBeNull();
  await userEvent.keyboard("{Control>}k{/Control}");
  expect(screen.queryByRole("dialog"), "a shortcut reaches what lies below").toBeNull();
  await userEvent.click(screen.getByRole("button", { name: "Look around meanwhile" }));
  await waitFor(() => expect(devices.closest(".below")).toBeNull());
  expect(devices.isConnected, "the screens were made anew, and what was entered is lost").toBe(true);
});
