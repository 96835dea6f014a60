import { expect, test } from "vitest";

import type { Report } from "../../generated/Report";
import { checked, hostKeyTrouble, inOrder, problemsFirst, tally, type Found } from "./checks";

const report = (code: string): Report => ({ code, message: `${code}.`, hint: "Look.", subject: null });
const targets = [4, 2, 3, 9].map((id) => ({ id, name: `web-${id}`, address: "10.0.0.1" }));

function finding(id: number, problems: string[] = [], warnings: string[] = []): [number, Found] {
  return [
    id,
    { id, ready: problems.length === 0, problems: problems.map(report), warnings: warnings.map(report), files: [], others: [] },
  ];
}

test("the original device comes first, the others by ascending ID", () => {
  expect(inOrder(targets, 4).map((each) => each.id)).toEqual([4, 2, 3, 9]);
  expect(inOrder(targets, 9).map((each) => each.id)).toEqual([9, 2, 3, 4]);
});

test("each device has its verdict, and its number of the order of change", () => {
  const devices = checked(
    targets,
    new Map([finding(4), finding(2, ["refused"]), finding(3, [], ["expiry-time"])]),
    new Set([9]),
    new Set(),
  );
  expect(devices.map((each) => [each.number, each.verdict])).toEqual([
    [1, "ready"],
    [2, "problem"],
    [3, "warning"],
    [4, "checking"],
  ]);
});

test("a device that is left out is not counted, ready or not", () => {
  const devices = checked(targets, new Map([finding(4), finding(2, ["refused"])]), new Set([3]), new Set([2, 9]));
  expect(tally(devices)).toEqual({ taking: 2, known: 1, checking: 1, notReady: [], warnings: 0, leftOut: 2 });
  const taken = checked(targets, new Map([finding(4), finding(2, ["refused"])]), new Set([3]), new Set([9]));
  expect(tally(taken)).toMatchObject({ taking: 3, known: 2, notReady: [2] });
});

test("problems come first and warnings next, each in the order of change, but not while checks run", () => {
  const findings = new Map([finding(4), finding(2, [], ["w"]), finding(3, ["p"]), finding(9, ["p"])]);
  const devices = checked(targets, findings, new Set(), new Set());
  expect(problemsFirst(devices, false).map((each) => each.id)).toEqual([3, 9, 2, 4]);
  expect(problemsFirst(devices, true).map((each) => each.id)).toEqual([4, 2, 3, 9]);
});

test("only problems with host keys lead to the scan", () => {
  const findings = new Map([finding(4, ["host-key-unknown"]), finding(2, ["unreachable"]), finding(3, ["host-key-changed"])]);
  expect(hostKeyTrouble(checked(targets, findings, new Set(), new Set()))).toEqual([4, 3]);
  expect(hostKeyTrouble(checked(targets, findings, new Set(), new Set([4])))).toEqual([3]);
});
