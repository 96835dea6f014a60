import { expect, test } from "vitest";

import { change, details, keyVersion, truth } from "./sample";
import { algorithmName, importIsOld, mainAction, place, STATES, standsSomewhere } from "./state";

const nowhere = { username_fixed: [], truth: [truth(3, { 2: "unknown" })] };

test("a change that is not ended comes before every other action", () => {
  expect(mainAction(details({ changes: [change(9, "running")] }))).toEqual({ action: "show-change", change: 9 });
  expect(mainAction(details({ changes: [change(9, "interrupted")] }))).toEqual({ action: "resume", change: 9 });
  expect(mainAction(details({ changes: [change(9, "partly-changed")] }))).toEqual({ action: "retry", change: 9 });
  const disabled = details({ changes: [change(9, "interrupted")] }, { state: "interrupted", status: "disabled" });
  expect(mainAction(disabled), "a disabled credential hides that devices accept two keys").toMatchObject({ action: "resume" });
});

test("changes that are ended leave the key change as the action", () => {
  const ended = [change(1, "changed"), change(2, "failed"), change(3, "rolled-back"), change(4, "cancelled")];
  expect(mainAction(details({ changes: ended }))).toEqual({ action: "change-key" });
});

test("a key that stands nowhere is installed first, one that stands somewhere is changed", () => {
  expect(mainAction(details(nowhere, { state: "not-ready" }))).toEqual({ action: "install" });
  expect(mainAction(details({}, { state: "not-ready" })), "one device that is not ready hides the change").toEqual({
    action: "change-key",
  });
  expect(standsSomewhere(details({ ...nowhere, truth: [truth(3, { 1: "accepted", 2: "unknown" })] })), "an old key counts").toBe(true);
});

test("what is disabled is enabled first, and a password is only edited", () => {
  expect(mainAction(details({}, { state: "disabled", status: "disabled" }))).toEqual({ action: "enable" });
  expect(mainAction(details(nowhere, { kind: "password", state: "up-to-date" }))).toEqual({ action: "edit" });
});

test("states are sorted worst first", () => {
  expect(STATES.map(place)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(place("overdue")).toBeLessThan(place("due"));
  expect(place("interrupted")).toBeLessThan(place("not-ready"));
  expect(place("disabled")).toBeGreaterThan(place("up-to-date"));
});

test("an imported file is old once another version is current, not while one is only tried", () => {
  const versions = (...key_versions: ReturnType<typeof keyVersion>[]) => importIsOld(details({}, { key_versions }));
  expect(versions(keyVersion(1, "current"))).toBe(false);
  expect(versions(keyVersion(1, "current"), keyVersion(2, "candidate"))).toBe(false);
  expect(versions(keyVersion(1, "current"), keyVersion(2, "destroyed")), "what was rolled back is not the current key").toBe(false);
  expect(versions(keyVersion(1, "retired"), keyVersion(2, "current"))).toBe(true);
});

test("algorithms are named as in the form", () => {
  expect(["ed25519", "ecdsa-p256", "ecdsa-p521", "rsa-3072", "other"].map(algorithmName)).toEqual([
    "Ed25519",
    "ECDSA P-256",
    "ECDSA P-521",
    "RSA 3072",
    "other",
  ]);
});
