import { afterEach, expect, test } from "vitest";

import { catalogue } from "../../messages/catalogue.svelte";
import { fieldsOf, NEW, NUMBERS, read, sameFields, switched } from "./fields";
import { policy } from "./sample";
import { daysWords, hoursWords, nextOf, reasonWords } from "./words";

afterEach(() => catalogue.choose("en"));

test("a form that nobody touched reads back as the policy it was made of", () => {
  const nightly = policy(4, "Nightly", { days: ["sat", "mon"], from: "22:00", to: "06:00", after_reveal_hours: 24 });
  const { id: _, credentials: __, standard: ___, ...form } = nightly;
  expect(read(fieldsOf(nightly))).toEqual({ form: { ...form, days: ["mon", "sat"] } });
  expect(read(fieldsOf(NEW))).toEqual({ form: NEW });
});

test.each(NUMBERS)("%s must be digits, and only the hours after a reveal may be empty", (field) => {
  for (const text of ["soon", "-1", "1.5", "1e3", "١٢", "12345678901"]) {
    expect(read({ ...fieldsOf(NEW), [field]: text }), text).toEqual({ wrong: field });
  }
  const empty = read({ ...fieldsOf(NEW), [field]: " " });
  if (field === "after_reveal_hours") expect(empty).toEqual({ form: NEW });
  else expect(empty).toEqual({ wrong: field });
  expect(read({ ...fieldsOf(NEW), [field]: " 5 " })).toEqual({ form: { ...NEW, [field]: 5 } });
});

test("days are switched one by one and stay in the order of the week", () => {
  expect(switched(["sun"], "mon", true)).toEqual(["mon", "sun"]);
  expect(switched(["mon", "sun"], "mon", false)).toEqual(["sun"]);
  expect(sameFields(fieldsOf(NEW), { ...fieldsOf(NEW), days: switched(NEW.days, "fri", false) })).toBe(false);
});

test("days and hours are said in words", () => {
  expect(daysWords(NEW.days)).toBe("Any day");
  expect(daysWords(["sat", "sun"])).toBe("Sat and Sun");
  expect(hoursWords({ from: "13:00", to: "13:00" })).toBe("Any hour");
  expect(hoursWords({ from: "22:00", to: "06:00" })).toBe("22:00–06:00");
});

test("a next change says why then, and that the window moved it", () => {
  const [due, since] = ["2027-06-01T10:00:00Z", "2027-03-03T10:00:00Z"];
  const next = (reason: Parameters<typeof reasonWords>[0]["reason"], at = due) => ({ at, due, reason });
  const age = { kind: "age" as const, days: 90, since };
  expect(reasonWords(next(age))).toBe("90 days after Mar 3, 2027");
  expect(reasonWords(next(age, "2027-06-05T20:00:00Z"))).toBe("90 days after Mar 3, 2027, next allowed hour");
  expect(reasonWords(next(age), "unsaved")).toBe("90 days after it is saved");
  expect(reasonWords(next({ kind: "reveal", hours: 1, since }))).toBe("1 hour after it was revealed on Mar 3, 2027");
  expect(reasonWords(next({ kind: "retry", attempt: 2, of: 3 }))).toBe("Retry 2 of 3");
  expect(reasonWords(next({ kind: "next-series", attempts: 4 }))).toBe("4 attempts failed; tried again on the next day");
  catalogue.choose("pt-BR");
  expect(reasonWords(next({ kind: "retry", attempt: 2, of: 3 }))).toBe("Tentativa 2 de 3");
});

test("a credential on request has no next change", () => {
  expect(nextOf({ next_change: null, next_change_due: null, next_change_reason: null })).toBeNull();
});
