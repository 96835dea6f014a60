import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { fakeBackend } from "../backend/fake";
import type { ChangeView } from "../generated/ChangeView";
import type { Event } from "../generated/Event";
import { running } from "./running.svelte";

const at = "2026-11-24T12:00:00Z";
const started: Event = {
  change: 7,
  at,
  event: "started",
  credential: "deploy",
  devices: ["web-1", "db-1"],
  strategy: "two-phase",
  new_fingerprint: "SHA256:new",
  old_fingerprint: "SHA256:old",
  kind: "rotate",
};
const through = (device: string): Event => ({
  change: 7,
  at,
  event: "stage",
  device,
  stage: "refuse",
  state: "done",
  detail: "",
});

beforeEach(() => running.show([]));
afterEach(() => vi.useRealTimers());

test("a change is followed from its beginning to its end", () => {
  running.hear(started);
  expect(running.list).toEqual([{ id: 7, credential: "deploy", devices: 2, done: 0, share: 0 }]);
  running.hear(through("web-1"));
  running.hear(through("web-1"));
  expect(running.list[0]?.done, "a device counts once").toBe(1);
  expect(running.list[0]?.share, "one of two times five stages").toBe(0.1);
  running.hear({ change: 7, at, event: "finished", outcome: "changed", devices: [], seconds: 1 });
  expect(running.list).toEqual([]);
});

test("a change of another program is shown while its state says that it runs", () => {
  const view = { id: 9, credential: "root", devices: 3, devices_done: 1, state: "running" } as ChangeView;
  running.show([view, { ...view, id: 10, state: "changed" }]);
  expect(running.list).toEqual([{ id: 9, credential: "root", devices: 3, done: 1, share: null }]);
});

test("the end of another program's change is noticed, and then nothing is asked any more", async () => {
  vi.useFakeTimers();
  const view = { id: 9, credential: "root", devices: 3, devices_done: 1, state: "running" } as ChangeView;
  const changes = vi.fn().mockResolvedValueOnce([view]).mockResolvedValue([{ ...view, state: "changed" }]);
  const end = running.start(fakeBackend({ changes }));
  await vi.advanceTimersByTimeAsync(0);
  expect(running.list, "it runs elsewhere").toHaveLength(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(running.list, "it would stand there for ever").toEqual([]);
  expect(changes, "nothing polls at rest").toHaveBeenCalledTimes(2);
  end();
});
