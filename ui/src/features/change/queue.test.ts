import { expect, test, vi } from "vitest";

import { notices } from "../../app/notices.svelte";
import { fakeBackend } from "../../backend/fake";
import type { Outcome } from "../../generated/Outcome";
import { finished, page, stage } from "../changes/testing";
import { credential } from "../changes/testing";
import { preset, requestOf } from "./choices";
import { Queue, type Wanted } from "./queue.svelte";

function wanted(id: number): Wanted {
  const request = requestOf("rotate", id, preset(credential({ id })), []);
  if (request === null) throw new Error("the preset is no request");
  return { name: `key-${id}`, devices: 2, request };
}

function begun(failing: number[] = []) {
  const stopChange = vi.fn(() => Promise.resolve());
  const beginChange = vi.fn(({ credential: id }: { credential: number }) =>
    failing.includes(id) ? Promise.reject(new Error("not now")) : Promise.resolve(100 + id),
  );
  const change = () => Promise.resolve(page([], { state: "running" }));
  return { backend: fakeBackend({ beginChange, stopChange, change }), beginChange, stopChange };
}

const end = (change: number, outcome: Outcome) => notices.hand({ notice: "change", ...finished(outcome, []), change });
const settle = () => new Promise((resolve) => setTimeout(resolve));
const states = (queue: Queue) => queue.entries.map((entry) => `${entry.state} ${entry.outcome ?? "-"}`);

test("a change begins when the one before has ended, however it ended", async () => {
  const { backend, beginChange } = begun([2]);
  const queue = new Queue();
  const all = queue.run(backend, [wanted(1), wanted(2), wanted(3)]);
  await settle();
  expect(states(queue)).toEqual(["running -", "waiting -", "waiting -"]);
  expect(beginChange).toHaveBeenCalledOnce();
  notices.hand({ notice: "change", ...stage(1, "prove", "done"), change: 101 });
  notices.hand({ notice: "change", ...stage(1, "refuse", "done"), change: 101 });
  expect(queue.entries[0]).toMatchObject({ change: 101, through: 1 });
  end(101, "rolled-back");
  await settle();
  expect(states(queue), "what could not begin held up the next").toEqual(["ended rolled-back", "ended -", "running -"]);
  expect(String(queue.entries[1]?.error)).toContain("not now");
  end(103, "changed");
  await all;
  expect(states(queue)).toEqual(["ended rolled-back", "ended -", "ended changed"]);
  expect(queue.active).toBe(false);
});

test("Stop finishes the one that runs, and begins none of the others", async () => {
  const { backend, beginChange, stopChange } = begun();
  const queue = new Queue();
  const all = queue.run(backend, [wanted(1), wanted(2)]);
  await settle();
  await queue.stop();
  expect(stopChange).toHaveBeenCalledExactlyOnceWith(101);
  end(101, "interrupted");
  await all;
  expect(states(queue)).toEqual(["ended interrupted", "not-begun -"]);
  expect(beginChange).toHaveBeenCalledOnce();
});

test("while changes run, others are not begun beside them", async () => {
  const { backend, beginChange } = begun();
  const queue = new Queue();
  void queue.run(backend, [wanted(1)]);
  await queue.run(backend, [wanted(2)]);
  await settle();
  expect(beginChange).toHaveBeenCalledOnce();
});
