import { expect, test } from "vitest";

import { change, credential, device } from "./sample";
import { firstSteps, pastFirstRun, unpinned } from "./steps";

const states = (...of: Parameters<typeof firstSteps>) => firstSteps(...of).map((step) => step.state);
const bare = device(1, { host_key_state: "none" });
const fresh = credential(1, { state: "not-ready" });

test.each([
  ["nothing", [], [], [], 0],
  ["a device", [bare], [], [], 1],
  ["a pinned device", [device(1)], [], [], 2],
  ["a credential", [device(1)], [fresh], [], 3],
  ["a checked credential", [device(1)], [credential(1)], [], 4],
  ["a change that failed", [device(1)], [credential(1)], [change(1, { state: "failed" })], 4],
])("with %s the steps before the next are ticked, and only those", (_, devices, credentials, changes, done) => {
  const expected = Array.from({ length: 5 }, (__, index) => (index < done ? "done" : index === done ? "current" : "later"));
  expect(states(devices, credentials, changes)).toEqual(expected);
});

test("a step that was taken out of turn is ticked, and the first one left out stays the next", () => {
  expect(states([bare], [credential(1)], [])).toEqual(["done", "current", "done", "done", "later"]);
});

test("a host that can't be reached does not hold up the rest", () => {
  expect(states([device(1), bare], [], [])[1]).toBe("done");
});

test("a password is no key to change", () => {
  const password = credential(1, { kind: "password", algorithm: null, key_created: null });
  expect(states([device(1)], [password], [])).toEqual(["done", "done", "current", "later", "later"]);
});

test("a disabled credential counts as added, not as checked", () => {
  expect(states([device(1)], [credential(1, { state: "disabled" })], [])[3]).toBe("current");
});

test("each step leads to where it is taken, the last two with a key that is ready rather than the first", () => {
  expect(firstSteps([device(1)], [fresh, credential(2)], []).map((step) => step.href)).toEqual([
    "#/devices/new",
    "#/devices/scan?ids=all",
    "#/credentials/new",
    "#/credentials/2",
    "#/credentials/2/change",
  ]);
  expect(firstSteps([], [], [])[4]?.href, "without a credential").toBe("#/credentials");
});

test("the first run is over when a key was changed, not when one was installed or a change failed", () => {
  expect(pastFirstRun([change(1, { kind: "install" })])).toBe(false);
  expect((["failed", "rolled-back", "running", "interrupted"] as const).some((state) => pastFirstRun([change(1, { state })]))).toBe(false);
  expect(pastFirstRun([change(1, { state: "failed" }), change(2)])).toBe(true);
  expect(pastFirstRun([change(1, { state: "partly-changed" })])).toBe(true);
});

test("a disabled device needs no host key", () => {
  expect(unpinned([bare, device(2), device(3, { host_key_state: "none", enabled: false })])).toEqual([bare]);
});
