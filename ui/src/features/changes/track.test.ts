import { expect, test } from "vitest";

import type { DeviceState } from "../../generated/DeviceState";
import type { Event } from "../../generated/Event";
import { finished, page, record, report, rolledBack, stage, started, through } from "./testing";
import { advance, begin, fold, isException, withCauses, type Row } from "./track";

const MARKS = { waiting: "-", running: "r", done: "d", failed: "F", unknown: "?", skipped: "s" };

/** A row in one line: its state and its track. */
function line(row: Row | undefined): string {
  return row === undefined ? "no row" : `${row.state} ${row.marks.map((mark) => MARKS[mark]).join("")}`;
}

function lines(states: DeviceState[], events: Event[]): string[] {
  return fold(page(states), events).rows.map(line);
}

test.each<[DeviceState, "add" | "check" | "refuse" | null, string]>([
  ["waiting", null, "waiting -----"],
  ["running", "add", "running dr---"],
  ["proven", "prove" as "add", "proven ddd--"],
  ["changed", null, "changed ddddd"],
  ["old-key-accepted", "refuse", "old-key-accepted ddddF"],
  ["unchanged", null, "unchanged -----"],
  ["unchanged", "check", "unchanged F----"],
  ["rolled-back", null, "rolled-back sssss"],
  ["not-proven", "refuse", "not-proven dddd?"],
  ["failed", "add", "failed dF---"],
])("a record that is %s at stage %s is drawn from the record alone", (state, at, expected) => {
  const only = page([state], { records: [record(1, state, { stage: at })] });
  expect(line(begin(only).rows[0])).toBe(expected);
});

test("a device that was left out says so until a retry comes to it", () => {
  const left = page([], { records: [record(1, "unchanged", { error: report("left-out") })] });
  expect(line(begin(left).rows[0])).toBe("left-out sssss");
  expect(line(fold(left, [started(0, 1)]).rows[0])).toBe("left-out sssss");
  expect(line(fold(left, [started(0, 1), stage(1, "check", "running")]).rows[0])).toBe("running r----");
  const other = page([], { records: [record(1, "unchanged", { error: report("unreachable") })] });
  expect(line(begin(other).rows[0])).not.toMatch(/^left-out/);
});

test("devices are numbered in the order of change and keep it", () => {
  const rows = fold(page(["waiting", "waiting"]), [started(), ...through(2, ["check", "add"], 0)]).rows;
  expect(rows.map((row) => [row.number, row.name])).toEqual([
    [1, "web-1"],
    [2, "web-2"],
  ]);
});

test("a device goes through its stages one after the other", () => {
  const steps: [Event, string][] = [
    [started(0, 1), "waiting -----"],
    [stage(1, "check", "running"), "running r----"],
    [stage(1, "check", "done"), "waiting d----"],
    [stage(1, "add", "running"), "running dr---"],
    [stage(1, "add", "done"), "running dd---"],
    [stage(1, "prove", "running"), "running ddr--"],
    [stage(1, "prove", "done"), "proven ddd--"],
    [stage(1, "remove", "running"), "running dddr-"],
    [stage(1, "remove", "done"), "running dddd-"],
    [stage(1, "refuse", "running"), "running ddddr"],
    [stage(1, "refuse", "done"), "changed ddddd"],
  ];
  let track = begin(page(["waiting"]));
  for (const [event, expected] of steps) {
    track = advance(track, [event]);
    expect(line(track.rows[0])).toBe(expected);
  }
});

test("an installation is through when it is proven, a removal when it is refused", () => {
  const install = fold(page(["waiting"], { kind: "install" }), through(1, ["check", "add", "prove"], 0));
  expect(line(install.rows[0])).toBe("changed ddd");
  const uninstall = fold(page(["waiting"], { kind: "uninstall" }), through(1, ["check", "remove"], 0));
  expect(line(uninstall.rows[0])).toBe("running dd-");
  const refused = fold(page(["waiting"], { kind: "uninstall" }), through(1, ["check", "remove", "refuse"], 0));
  expect(line(refused.rows[0])).toBe("changed ddd");
});

test("a stage that fails or stays unknown stops the track there", () => {
  expect(lines(["waiting"], [...through(1, ["check"], 0), stage(1, "add", "failed", 2, "No space left.")])).toEqual(["failed dF---"]);
  expect(lines(["waiting"], [...through(1, ["check", "add"], 0), stage(1, "prove", "unknown", 2)])).toEqual(["not-proven dd?--"]);
  const row = fold(page(["waiting"]), [stage(1, "add", "failed", 2, "No space left.")]).rows[0];
  expect(row?.detail).toBe("No space left.");
});

test("a device that is put back leaves its track, and one that can't be put back is an exception", () => {
  const there = through(1, ["check", "add", "prove"], 0);
  expect(lines(["waiting"], [...there, rolledBack(1, "running", 4)])).toEqual(["rolling-back ddd--"]);
  expect(lines(["waiting"], [...there, rolledBack(1, "done", 5)])).toEqual(["rolled-back sssss"]);
  expect(lines(["waiting"], [...there, rolledBack(1, "failed", 5)])).toEqual(["failed ddd--"]);
  expect(lines(["waiting"], [...there, rolledBack(1, "unknown", 5)])).toEqual(["not-proven ddd--"]);
});

test("the end says how each device stands, whatever was heard before", () => {
  const gone = report("unreachable");
  const events = [
    started(),
    ...through(1, ["check", "add", "prove", "remove", "refuse"], 0),
    stage(2, "check", "failed", 1),
    stage(3, "refuse", "running", 6),
    finished("partly-changed", [["changed"], ["unchanged", gone], ["not-proven", report("unclear")]], 9),
  ];
  const track = fold(page(["waiting", "waiting", "waiting"]), events);
  expect(track.rows.map(line)).toEqual(["changed ddddd", "unchanged F----", "not-proven dddd?"]);
  expect(track.rows[1]?.error).toEqual(gone);
  expect([track.outcome, track.seconds]).toEqual(["partly-changed", 9]);
});

test("an end that is heard without its stages draws the track from the states", () => {
  const ends = finished("changed", [["changed"], ["old-key-accepted", report("old-key-accepted")], ["proven"]], 1);
  expect(lines(["waiting", "waiting", "waiting"], [ends])).toEqual(["changed ddddd", "old-key-accepted ddddF", "proven ddd--"]);
});

test("a change that is resumed keeps what is through and goes about the rest again", () => {
  const before = page(["changed", "proven", "failed"], {
    records: [record(1, "changed"), record(2, "proven"), record(3, "failed", { stage: "add", error: report("disk-full") })],
  });
  const resumed = fold(before, [started(100)]);
  expect(resumed.rows.map(line)).toEqual(["changed ddddd", "waiting ddd--", "waiting d----"]);
  expect(resumed.rows[2]?.error, "the cause of the last run is told of this one").toBeNull();

  const checking = advance(resumed, [stage(2, "check", "running", 101), stage(2, "check", "done", 102)]);
  expect(line(checking.rows[1]), "a check undoes what stands there").toBe("proven ddd--");
  const again = advance(checking, [stage(2, "add", "running", 103)]);
  expect(line(again.rows[1]), "what is proven anew still counts as proven").toBe("running dr---");
});

test("a stage that is heard after those before it were missed fills them", () => {
  expect(lines(["waiting"], [stage(1, "remove", "running", 5)])).toEqual(["running dddr-"]);
});

test("events laid over records that have them already lead to the same rows", () => {
  const events = [
    started(),
    ...through(1, ["check", "add", "prove"], 0),
    ...through(2, ["check"], 0),
    stage(2, "add", "running", 4),
  ];
  const fresh = fold(page(["waiting", "waiting"]), events).rows.map(line);
  const late = fold(
    page([], { records: [record(1, "proven", { stage: "prove" }), record(2, "running", { stage: "add" })], events }),
  ).rows.map(line);
  expect(late).toEqual(fresh);
});

test("events of a run that another program went on with are not told of now", () => {
  const events = [started(), ...through(1, ["check", "add"], 0), finished("interrupted", [["not-proven"]], 4)];
  const elsewhere = page(["changed"], { state: "changed", here: false, events });
  expect(fold(elsewhere).rows.map(line)).toEqual(["changed ddddd"]);
  const running = page(["proven"], { state: "running", here: false, events });
  expect(fold(running).rows.map(line)).toEqual(["proven ddd--"]);
  const own = page(["not-proven"], { state: "interrupted", here: false, events });
  expect(fold(own).seconds, "the run that was seen here has its own time").toBe(4);
});

test("times count while a stage runs, not while the device waits", () => {
  const events = [...through(1, ["check"], 0), stage(1, "add", "running", 50), stage(1, "add", "done", 52)];
  const row = fold(page(["waiting"]), events).rows[0];
  expect([row?.worked, row?.since]).toEqual([3000, null]);
});

test("only what went wrong gets the cause that its record names", () => {
  const records = [record(1, "failed", { error: report("disk-full") }), record(2, "running", { error: report("old") })];
  const track = advance(begin(page(["waiting", "waiting"])), [stage(1, "add", "failed"), stage(2, "add", "running")]);
  const told = withCauses(track, records);
  expect(told.rows.map((row) => row.error?.code ?? null)).toEqual(["disk-full", null]);
  expect(told.rows.map(isException)).toEqual([true, false]);
});

test("an event of a device that is not in the change is nobody's", () => {
  expect(lines(["waiting"], [stage(9, "add", "running")])).toEqual(["waiting -----"]);
});
