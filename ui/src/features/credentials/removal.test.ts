import { expect, test, vi } from "vitest";

import { notices } from "../../app/notices.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";
import { Removal } from "./removal.svelte";
import { change, report } from "./sample";

const at = "2026-04-01T10:00:00Z";
const hand = (event: Event) => notices.hand({ notice: "change", ...event });
const started = (id: number): Event => ({
  change: id,
  at,
  event: "started",
  credential: "deploy",
  devices: ["web-3", "web-1"],
  strategy: "two-phase",
  new_fingerprint: "",
  old_fingerprint: null,
  kind: "uninstall",
});
const through = (id: number, device: string): Event => ({ change: id, at, event: "stage", device, stage: "refuse", state: "done", detail: "" });
const finished = (id: number, outcome: Outcome): Event => ({ change: id, at, event: "finished", outcome, devices: [], seconds: 1 });

function backend(calls: Partial<Backend> = {}) {
  const removeCredential = vi.fn(() => Promise.resolve());
  const page = { change: change(5, "running", { kind: "uninstall", devices: 2 }) };
  return {
    removeCredential,
    door: fakeBackend({
      beginChange: () => Promise.resolve(5),
      change: () => Promise.resolve(page as never),
      removeCredential,
      ...calls,
    }),
  };
}

const settled = () => new Promise((done) => setTimeout(done, 0));

test("the credential is deleted only after every device refuses the key", async () => {
  const { door, removeCredential } = backend();
  const removal = new Removal(door, 2);
  const run = removal.run(1, "remove");
  await settled();
  hand(started(5));
  hand(through(5, "web-3"));
  hand(finished(6, "changed"));
  await settled();
  expect([removal.done, removal.all]).toEqual([1, 2]);
  expect(removeCredential, "another change's end is taken for this one's").not.toHaveBeenCalled();
  hand(through(5, "web-1"));
  hand(finished(5, "changed"));
  expect(await run).toBe(true);
  expect(removeCredential).toHaveBeenCalledExactlyOnceWith(1, "refuse");
});

test.each(["partly-changed", "failed", "rolled-back", "interrupted"] as const)("nothing is deleted when the removal ends %s", async (outcome) => {
  const { door, removeCredential } = backend();
  const removal = new Removal(door, 2);
  const run = removal.run(1, "remove");
  await settled();
  hand(finished(5, outcome));
  expect(await run).toBe(false);
  expect(removal.unfinished).toEqual({ change: 5, outcome });
  expect(removeCredential).not.toHaveBeenCalled();
});

test("an end that comes before the change's number is not missed", async () => {
  const { door } = backend({
    beginChange: () => {
      hand(started(5));
      hand(finished(5, "changed"));
      return Promise.resolve(5);
    },
    change: () => Promise.resolve({ change: change(5, "changed") } as never),
  });
  expect(await new Removal(door, 2).run(1, "remove")).toBe(true);
});

test("a change that was broken off without a last word is read from the list", async () => {
  let state: "running" | "interrupted" = "running";
  const { door } = backend({ change: () => Promise.resolve({ change: change(5, state) } as never) });
  const removal = new Removal(door, 2);
  const run = removal.run(1, "remove");
  await settled();
  state = "interrupted";
  notices.hand({ notice: "catalogue" });
  expect(await run).toBe(false);
  expect(removal.unfinished).toEqual({ change: 5, outcome: "interrupted" });
});

test("what is to be left is left, and what stands nowhere is refused if it stands after all", async () => {
  const { door, removeCredential } = backend({ beginChange: () => Promise.reject(new Error("a change was begun")) });
  expect(await new Removal(door, 2).run(1, "leave")).toBe(true);
  expect(removeCredential).toHaveBeenLastCalledWith(1, "leave-there");
  expect(await new Removal(door, 2).run(1, "nowhere")).toBe(true);
  expect(removeCredential).toHaveBeenLastCalledWith(1, "refuse");
});

test("a refusal is told, and it can be tried again", async () => {
  const error = new BackendError(report("change-open", "A change of deploy is not ended."));
  const { door, removeCredential } = backend({ beginChange: () => Promise.reject(error) });
  const removal = new Removal(door, 2);
  expect(await removal.run(1, "remove")).toBe(false);
  expect(removal.error).toBe(error);
  expect(removeCredential).not.toHaveBeenCalled();
  expect(await removal.run(1, "leave")).toBe(true);
  expect(removal.error).toBeNull();
});

test("stopping stops the change, and a page that was left deletes nothing", async () => {
  const stopChange = vi.fn(() => Promise.resolve());
  const { door, removeCredential } = backend({ stopChange });
  const removal = new Removal(door, 2);
  const run = removal.run(1, "remove");
  await settled();
  await removal.stop();
  expect(stopChange).toHaveBeenCalledWith(5);
  removal.leave();
  hand(finished(5, "changed"));
  expect(await run).toBe(false);
  expect(removeCredential).not.toHaveBeenCalled();
});
