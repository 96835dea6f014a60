import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { notices } from "../../app/notices.svelte";
import { fakeBackend } from "../../backend/fake";
import type { ChangePage } from "../../generated/ChangePage";
import type { Event } from "../../generated/Event";
import { LiveChange } from "./live.svelte";
import { finished, page, record, report, stage, started, through } from "./testing";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const tell = (...events: Event[]) => events.forEach((event) => notices.hand({ notice: "change", ...event }));
const settle = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);

function following(...pages: ChangePage[]) {
  const change = vi.fn(() => Promise.resolve((pages.length > 1 ? pages.shift() : pages[0]) as ChangePage));
  const live = new LiveChange(fakeBackend({ change }), 7);
  const stop = live.start();
  return { live, stop, change, state: (index = 0) => live.track?.rows[index]?.state };
}

test("what is heard while the first answer is awaited is neither lost nor counted twice", async () => {
  const first = through(1, ["check", "add"], 0);
  let answer: (page: ChangePage) => void = () => undefined;
  const live = new LiveChange(fakeBackend({ change: () => new Promise((resolve) => (answer = resolve)) }), 7);
  const stop = live.start();
  tell(...first.slice(2), stage(1, "prove", "running", 3));
  answer(page(["waiting"], { events: [started(0, 1), ...first] }));
  await settle();
  expect(live.track?.rows[0]).toMatchObject({ state: "running", stage: "prove", worked: 2000 });
  stop();
});

test("events are drawn together, once a picture", async () => {
  const { live, stop, state } = following(page(["waiting"]));
  await settle();
  const before = live.track;
  tell(started(0, 1), ...through(1, ["check", "add", "prove"], 0));
  expect(live.track, "each event is drawn at once").toBe(before);
  await settle(120);
  expect(state()).toBe("proven");
  stop();
});

test("the end is read from the journal, which knows what may be done next", async () => {
  const end = finished("changed", [["changed"]], 3);
  const running = page(["waiting"]);
  const done = page(["changed"], { state: "changed", possible: ["undo"], here: false, events: [end] });
  const { live, stop } = following(running, done);
  await settle();
  tell(end);
  await settle(120);
  expect(live.running).toBe(false);
  await settle(400);
  expect(live.page?.possible).toEqual(["undo"]);
  stop();
});

test("the cause of a failure is read while the others go on", async () => {
  const failed = stage(1, "add", "failed", 2, "No space left.");
  const known = page([], { records: [record(1, "failed", { stage: "add", error: report("disk-full") })], events: [failed] });
  const { live, stop } = following(page(["waiting"]), known);
  await settle();
  tell(failed);
  await settle(500);
  expect(live.track?.rows[0]?.error?.code).toBe("disk-full");
  stop();
});

test("a change that another program runs is read every second, one that runs here is not", async () => {
  const elsewhere = following(page(["waiting"], { here: false }));
  await settle(3100);
  expect(elsewhere.change).toHaveBeenCalledTimes(4);
  elsewhere.stop();
  const here = following(page(["waiting"], { here: true }));
  await settle(3100);
  expect(here.change).toHaveBeenCalledTimes(1);
  here.stop();
});

test("an answer that comes after the page is gone changes nothing", async () => {
  const { live, stop } = following(page(["waiting"]));
  stop();
  await settle(10);
  expect(live.page).toBeNull();
});

test("a reading that fails says why and keeps what was known", async () => {
  const change = vi.fn().mockResolvedValueOnce(page(["waiting"])).mockRejectedValueOnce(new Error("no disk"));
  const live = new LiveChange(fakeBackend({ change }), 7);
  const stop = live.start();
  await settle();
  notices.hand({ notice: "catalogue" });
  await settle();
  expect([live.page !== null, String(live.error)]).toEqual([true, "Error: no disk"]);
  tell(...through(1, ["check", "add"], 0), stage(1, "prove", "running", 3));
  await settle(120);
  expect(live.track?.rows[0]?.stage).toBe("prove");
  stop();
});
