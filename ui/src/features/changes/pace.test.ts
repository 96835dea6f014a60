import { expect, test } from "vitest";

import type { DeviceState } from "../../generated/DeviceState";
import type { Stage } from "../../generated/Stage";
import { pace } from "./pace";
import { page, record, report, rolledBack, stage, started, START, through, view } from "./testing";
import { advance, begin, fold } from "./track";

const waiting = (count: number) => Array.from({ length: count }, (): DeviceState => "waiting");
const each = (from: number, to: number, stages: Stage[], seconds: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => through(from + index, stages, seconds + index * stages.length)).flat();

test("counts the checks, then the devices of each phase", () => {
  let track = advance(begin(page(waiting(5))), [started(0, 5), ...each(1, 2, ["check"], 0)]);
  expect(pace(track, START)).toMatchObject({ phase: "checking", through: 2, all: 5 });
  track = advance(track, [...each(3, 5, ["check"], 2), ...each(1, 4, ["add", "prove"], 10)]);
  expect(pace(track, START + 18_000)).toMatchObject({ phase: "adding", through: 4, all: 5 });
  track = advance(track, [...each(5, 5, ["add", "prove"], 18), ...each(1, 1, ["remove", "refuse"], 20)]);
  expect(pace(track, START + 22_000)).toMatchObject({ phase: "removing", through: 1, all: 5 });
  track = advance(track, each(2, 5, ["remove", "refuse"], 22));
  expect(pace(track, START + 30_000)).toMatchObject({ phase: "ending", through: 5, share: 1 });
});

test("says nothing of the time that is left before three devices are through", () => {
  const checked = advance(begin(page(waiting(5))), [started(0, 5), ...each(1, 5, ["check"], 0)]);
  const two = advance(checked, each(1, 2, ["add", "prove"], 10));
  expect(pace(two, START + 14_000).left).toBeNull();
  const three = advance(two, each(3, 3, ["add", "prove"], 14));
  // Three halves in six seconds; seven halves are left.
  expect(pace(three, START + 16_000).left).toBeCloseTo(14);
});

test("what an earlier run did makes this one no faster", () => {
  const before = page([], { records: [1, 2, 3, 4, 5].map((number) => record(number, number < 5 ? "changed" : "waiting")) });
  const track = fold(before, [started(0, 5), ...through(5, ["check", "add"], 0)]);
  expect(pace(track, START + 2000).left).toBeNull();
});

test("device by device counts the devices that are wholly through", () => {
  const inTurn = page(waiting(4), { change: view({ strategy: "device-by-device", devices: 4 }) });
  const track = fold(inTurn, [
    started(0, 4),
    ...each(1, 4, ["check"], 0),
    ...each(1, 1, ["add", "prove", "remove", "refuse"], 5),
    ...each(2, 2, ["add", "prove"], 9),
  ]);
  expect(pace(track, START + 11_000)).toMatchObject({ phase: "changing", through: 1, all: 4 });
});

test("devices that failed or were left out are not waited for", () => {
  const some = page([], { records: [record(1, "waiting"), record(2, "waiting"), record(3, "unchanged", { error: report("left-out") })] });
  const track = fold(some, [started(), stage(1, "check", "failed", 1), ...through(2, ["check", "add", "prove"], 0)]);
  expect(pace(track, START + 3000)).toMatchObject({ phase: "removing", through: 1, all: 2 });
});

test("a roll-back counts the devices that are back", () => {
  const track = advance(begin(page(waiting(3))), [
    started(),
    ...each(1, 3, ["check"], 0),
    ...each(1, 3, ["add", "prove"], 4),
    rolledBack(3, "done", 11),
    rolledBack(2, "running", 12),
  ]);
  expect(pace(track, START)).toMatchObject({ phase: "rolling-back", through: 1, all: 3, left: null });
});

test("a change without devices has a pace, too", () => {
  expect(pace(begin(page([])), START).share).toBe(0);
});
