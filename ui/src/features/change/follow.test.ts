import { expect, test, vi } from "vitest";

import { notices } from "../../app/notices.svelte";
import { fakeBackend } from "../../backend/fake";
import type { ChangeState } from "../../generated/ChangeState";
import { finished, page, started } from "../changes/testing";
import { followChange } from "./follow";

function reads(...states: ChangeState[]) {
  const answers = [...states];
  return fakeBackend({ change: () => Promise.resolve(page([], { state: answers.shift() ?? "running" })) });
}

test("resolves with the outcome that is heard, and hands the events on", async () => {
  const heard = vi.fn();
  const followed = followChange(7, heard, reads());
  notices.hand({ notice: "change", ...started() });
  notices.hand({ notice: "change", ...finished("partly-changed", []), change: 8 });
  notices.hand({ notice: "change", ...finished("changed", []) });
  expect(await followed).toBe("changed");
  expect(heard).toHaveBeenCalledTimes(2);
  notices.hand({ notice: "change", ...started() });
  expect(heard, "it listens after the end").toHaveBeenCalledTimes(2);
});

test("resolves when the catalogue says that the change broke off without an event", async () => {
  const followed = followChange(7, () => undefined, reads("running", "interrupted"));
  await Promise.resolve();
  notices.hand({ notice: "catalogue" });
  expect(await followed).toBe("interrupted");
});

test("resolves for a change that was over before it was followed", async () => {
  expect(await followChange(7, () => undefined, reads("rolled-back"))).toBe("rolled-back");
});

test("rejects when the change can't be read", async () => {
  const broken = fakeBackend({ change: () => Promise.reject(new Error("gone")) });
  await expect(followChange(7, () => undefined, broken)).rejects.toThrow("gone");
});
