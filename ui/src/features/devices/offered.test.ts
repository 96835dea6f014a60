import { expect, test } from "vitest";

import { answer, deviceRow, offeredKey, report } from "./fixtures";
import { keyRows, narrowed, pinnable, pins, replacement, unreached } from "./offered";

const answers = [
  answer(1, [offeredKey(1, "new"), offeredKey(1, "known", { matches_known_hosts: true })]),
  answer(2, [offeredKey(2, "other", { state: "changed", instead_of: ["SHA256:old"], matches_known_hosts: true })]),
  answer(3, [], report({ message: "web-3 did not answer." })),
];
const rows = keyRows(answers, []);

test("a new key is told apart by whether known_hosts names it", () => {
  expect(rows.map((row) => row.state)).toEqual(["new", "matches", "changed"]);
});

test("a changed key stays a decision of its own, whatever known_hosts says", () => {
  expect(rows.map(pinnable)).toEqual([true, true, false]);
  expect(pins(rows), "a changed key would be pinned with the others").toEqual([
    { device_id: 1, fingerprint: "SHA256:new", replace: false },
    { device_id: 1, fingerprint: "SHA256:known", replace: false },
  ]);
  expect(replacement(rows[2]!)).toEqual({ device_id: 2, fingerprint: "SHA256:other", replace: true });
});

test("a key is pinned when the list of devices says so, and of that device only", () => {
  const pinned = { algorithm: "ssh-ed25519", fingerprint: "SHA256:new", pinned_at: "2026-11-24T10:00:00Z" };
  expect(keyRows(answers, [deviceRow(1, { host_keys: [pinned] })])[0]).toMatchObject({ state: "pinned", found: "new" });
  expect(keyRows(answers, [deviceRow(2, { host_keys: [pinned] })])[0]).toMatchObject({ state: "new" });
});

test("a device that did not answer has its cause", () => {
  expect(unreached(answers)).toEqual([{ id: 3, device: "web-3", report: report({ message: "web-3 did not answer." }) }]);
});

test("keys are found by device, type, fingerprint and the pinned one's", () => {
  const found = (text: string, states: string[] = []) => narrowed(rows, text, states).map((row) => row.key.fingerprint);
  expect(found("web-2")).toEqual(["SHA256:other"]);
  expect(found("sha256:old")).toEqual(["SHA256:other"]);
  expect(found("ed25519 known")).toEqual(["SHA256:known"]);
  expect(found("", ["changed", "new"])).toEqual(["SHA256:new", "SHA256:other"]);
  expect(narrowed(rows, " ", [])).toBe(rows);
});
