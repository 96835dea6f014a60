import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";

import type { Backend } from "../backend/backend";
import { fakeBackend } from "../backend/fake";
import WithBackend from "../backend/WithBackend.svelte";
import { notices } from "./notices.svelte";
import PauseBanner from "./PauseBanner.svelte";

function shown(value: string) {
  let set = value;
  const setSetting = vi.fn<Backend["setSetting"]>(async (_, to) => {
    set = to;
  });
  const settings = vi.fn<Backend["settings"]>(async () => [
    { name: "pause-automatic-changes", label: "", value: set, default: "off", allowed: "", choices: [], unit: null },
  ]);
  render(WithBackend, { backend: fakeBackend({ settings, setSetting }), view: PauseBanner as never, given: {} });
  return { setSetting, settings, set: (to: string) => (set = to) };
}

test("a pause is told on every screen, and ended there", async () => {
  const { setSetting } = shown("on");
  expect(await screen.findByText("Automatic changes are paused.")).toBeTruthy();
  await userEvent.setup().click(screen.getByRole("button", { name: "Go on" }));
  expect(setSetting.mock.calls).toEqual([["pause-automatic-changes", "off"]]);
  await vi.waitFor(() => expect(screen.queryByText("Automatic changes are paused.")).toBeNull());
});

test("a pause until a day names it, and one that is set elsewhere is seen", async () => {
  const { settings, set } = shown("off");
  await vi.waitFor(() => expect(settings).toHaveBeenCalled());
  expect(screen.queryByRole("button", { name: "Go on" })).toBeNull();
  set("2999-12-24");
  notices.hand({ notice: "catalogue" });
  expect((await screen.findByText(/are paused until/)).textContent).toContain("24");
});
