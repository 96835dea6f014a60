import { expect, test } from "vitest";

import { ageOf, AGES } from "./ages";
import { algorithmName, algorithms, changesByWeek, keyAges, totals, WEEKS } from "./charts";
import { comingDays } from "./coming";
import { change, credential } from "./sample";
import { lastWeeks, outcomeOf, weekOf } from "./weeks";

const now = new Date("2026-11-24T12:00:00Z");
const daysAgo = (days: number) => new Date(now.getTime() - days * 86_400_000).toISOString();

test.each([
  [0, "0-30"],
  [30, "0-30"],
  [30.99, "0-30"],
  [31, "31-90"],
  [90, "31-90"],
  [91, "91-180"],
  [180, "91-180"],
  [181, "181-365"],
  [365, "181-365"],
  [366, "366-"],
  [5000, "366-"],
  [-2, "0-30"],
])("a key made %d days ago is in the step %s", (days, step) => {
  expect(ageOf(daysAgo(days), now).id).toBe(step);
});

test("a key is too old by its own policy", () => {
  const old = (days: number, maximum_age_days: number) => credential(1, { key_created: daysAgo(days), maximum_age_days });
  expect(keyAges([old(31, 30), old(100, 365), old(91, 90)], now).old).toBe(2);
});

test("the calendar has whole weeks from this Monday on, and what is late stands today", () => {
  const due = (id: number, next_change: string | null) => credential(id, { next_change });
  const noon = new Date(2026, 10, 25, 12);
  const days = comingDays(
    [due(1, new Date(2026, 10, 20).toISOString()), due(2, new Date(2026, 11, 24, 23).toISOString()), due(3, null)],
    noon,
  );
  expect([days[0]?.date, days.length, days.at(-1)?.date]).toEqual(["2026-11-23", 42, "2027-01-03"]);
  expect(days.filter((day) => day.past).map((day) => day.date)).toEqual(["2026-11-23", "2026-11-24"]);
  expect(days.filter((day) => day.count > 0).map((day) => [day.date, day.count, day.href])).toEqual([
    ["2026-11-25", 1, "#/credentials?coming=2026-11-25"],
    ["2026-12-24", 1, "#/credentials?coming=2026-12-24"],
  ]);
});

test("the steps of age leave no day out and count none twice", () => {
  AGES.slice(1).forEach((age, index) => expect(age.from).toBe((AGES[index]?.to ?? Number.NaN) + 1));
});

test("every key is in one bar of its age; a password is in none", () => {
  const made = [1, 20, 45, 90, 91, 400].map((days, index) => credential(index, { key_created: daysAgo(days) }));
  const password = credential(9, { kind: "password", key_created: null, algorithm: null });
  const ages = keyAges([...made, password], now);
  expect(ages.bars.map((bar) => bar.count)).toEqual([2, 2, 1, 0, 1]);
  expect([ages.all, ages.old], "90 days are within the policy, 91 are not").toEqual([6, 2]);
  expect(ages.bars.map((bar) => bar.href)).toEqual(
    ["0-30", "31-90", "91-180", "181-365", "366-"].map((age) => `#/credentials?age=${age}`),
  );
});

test("algorithms are counted, the most frequent first, and equal ones by name", () => {
  const of = (algorithm: string | null, id: number) => credential(id, { algorithm });
  const bars = algorithms(["rsa-2048", "ed25519", "ed25519", "ecdsa-p256", null].map(of));
  expect(bars.map((bar) => [bar.key, bar.count])).toEqual([
    ["ed25519", 2],
    ["ecdsa-p256", 1],
    ["rsa-2048", 1],
  ]);
  expect(bars[2]?.href).toBe("#/credentials?algorithm=rsa-2048");
  expect(["ed25519", "ecdsa-p521", "rsa-3072"].map(algorithmName)).toEqual(["Ed25519", "ECDSA P-521", "RSA 3072"]);
});

test("a week begins on Monday, local time, over the ends of months and years and the changes of the clock", () => {
  const local = (...parts: [number, number, number, number, number]) => weekOf(new Date(...parts));
  expect(local(2026, 10, 23, 0, 0)).toBe("2026-11-23");
  expect(local(2026, 10, 29, 23, 59)).toBe("2026-11-23");
  expect(local(2026, 10, 22, 23, 59)).toBe("2026-11-16");
  expect(local(2027, 0, 1, 12, 0)).toBe("2026-12-28");
  const weeks = lastWeeks(60, new Date(2026, 10, 24));
  expect(weeks[59]).toBe("2026-11-23");
  expect(new Set(weeks).size).toBe(60);
  expect(weeks.every((week) => weekOf(new Date(`${week}T12:00:00`)) === week)).toBe(true);
});

test("changes stand in the week they began, by how they ended; what runs has not ended", () => {
  const changes = [
    change(1),
    change(2),
    change(3, { state: "failed" }),
    change(4, { state: "running" }),
    change(5, { state: "cancelled" }),
    change(6, { started: daysAgo(7), state: "partly-changed" }),
    change(7, { started: daysAgo(WEEKS * 7), state: "failed" }),
  ];
  const weeks = changesByWeek(changes, now);
  expect(weeks.map((week) => week.count)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3]);
  const last = weeks[WEEKS - 1];
  expect(last?.parts).toEqual([
    { key: "changed", count: 2, href: `#/changes?week=${last?.week}&outcome=changed` },
    { key: "failed", count: 1, href: `#/changes?week=${last?.week}&outcome=failed` },
  ]);
  expect(totals(weeks)).toEqual([
    { outcome: "changed", count: 2 },
    { outcome: "partly-changed", count: 1 },
    { outcome: "failed", count: 1 },
  ]);
});

test("what waits, runs or was given up has no outcome", () => {
  expect((["scheduled", "running", "cancelled"] as const).map(outcomeOf)).toEqual([null, null, null]);
  expect(outcomeOf("interrupted")).toBe("interrupted");
});
