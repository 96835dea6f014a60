import { expect, test } from "vitest";

import { atOnce, requestOf, type Choices } from "./choices";

const CHOICES: Choices = {
  connectWith: null,
  algorithm: "ed25519",
  strategy: "two-phase",
  onFailure: "roll-back",
  atOnce: "1",
  options: "",
  at: null,
};

test("a change is asked for as it was chosen", () => {
  const choices: Choices = { ...CHOICES, connectWith: 9, algorithm: "rsa-4096", onFailure: "continue", atOnce: " 8 " };
  expect(requestOf("rotate", 3, choices, [5])).toEqual({
    kind: "rotate",
    credential: 3,
    connect_with: { credential: 9 },
    algorithm: "rsa-4096",
    strategy: "two-phase",
    on_failure: "continue",
    at_once: 8,
    leave_out: [5],
    devices: null,
    options: null,
  });
  expect(requestOf("rotate", 3, CHOICES, [])?.connect_with).toBe("itself");
});

test("an emergency has one strategy and goes past every failure, whatever was chosen", () => {
  const request = requestOf("emergency", 3, { ...CHOICES, atOnce: "8" }, []);
  expect(request).toMatchObject({ kind: "rotate", strategy: "emergency", on_failure: null, at_once: 8 });
});

test("an installation needs another credential, and carries the options of its line", () => {
  expect(requestOf("install", 3, CHOICES, [])).toBeNull();
  const choices = { ...CHOICES, connectWith: 9, options: ' from="10.0.0.0/8" ' };
  expect(requestOf("install", 3, choices, [])).toMatchObject({ kind: "install", options: 'from="10.0.0.0/8"', algorithm: null });
  expect(requestOf("install", 3, { ...choices, options: " " }, [])?.options).toBeNull();
});

test.each<[string, number | null]>([
  ["1", 1],
  ["12", 12],
  ["0", null],
  ["", null],
  ["two", null],
  ["-1", null],
  ["1.5", null],
  ["10000", null],
])("devices at once: %s", (text, expected) => {
  expect(atOnce(text)).toBe(expected);
  expect(requestOf("rotate", 3, { ...CHOICES, atOnce: text }, []) === null).toBe(expected === null);
});
