/** What the form of a policy holds: numbers as they are typed, until the form reads them. */
import type { NewPolicy } from "../../generated/NewPolicy";
import type { Weekday } from "../../generated/Weekday";

/** The days of the week, Monday first. */
export const WEEKDAYS: readonly Weekday[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/** The fields that are numbers. */
export const NUMBERS = [
  "maximum_age_days",
  "retries",
  "retry_minutes",
  "warning_days",
  "after_reveal_hours",
  "at_once",
] as const;

export type NumberField = (typeof NUMBERS)[number];

/** The fields, by the names that Rust gives them. */
export type PolicyFields = Omit<NewPolicy, NumberField> & Record<NumberField, string>;

/** What a new policy begins with: as "Standard" was made. */
export const NEW: NewPolicy = {
  name: "",
  maximum_age_days: 90,
  days: [...WEEKDAYS],
  from: "00:00",
  to: "00:00",
  retries: 3,
  retry_minutes: 15,
  algorithm: "ed25519",
  warning_days: 7,
  after_reveal_hours: null,
  strategy: "two-phase",
  on_failure: "roll-back",
  at_once: 1,
  after_interruption: "resume",
};

/** The form of a policy. */
export function fieldsOf(policy: NewPolicy): PolicyFields {
  const { name, days, from, to, algorithm, strategy, on_failure, after_interruption } = policy;
  const numbers = Object.fromEntries(NUMBERS.map((field) => [field, String(policy[field] ?? "")]));
  return {
    ...{ name, from, to, algorithm, strategy, on_failure, after_interruption },
    days: WEEKDAYS.filter((day) => days.includes(day)),
    ...(numbers as Record<NumberField, string>),
  };
}

/** The form as Rust takes it, or the first field that is no number. Whether a number will do is for Rust to say. */
export function read(fields: PolicyFields): { form: NewPolicy } | { wrong: NumberField } {
  const numbers: Partial<Record<NumberField, number | null>> = {};
  for (const field of NUMBERS) {
    const text = fields[field].trim();
    const empty = text === "" && field === "after_reveal_hours";
    if (!empty && !/^\d{1,9}$/.test(text)) return { wrong: field };
    numbers[field] = empty ? null : Number(text);
  }
  return { form: { ...fields, ...(numbers as Pick<NewPolicy, NumberField>), days: [...fields.days] } };
}

/** The days with one more or less of them, in the order of the week. */
export function switched(days: readonly Weekday[], day: Weekday, on: boolean): Weekday[] {
  return WEEKDAYS.filter((known) => (known === day ? on : days.includes(known)));
}

/** Whether saving one would be the same as saving the other. */
export function sameFields(one: PolicyFields, other: PolicyFields): boolean {
  const ordered = (fields: PolicyFields) => JSON.stringify(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
  return ordered(one) === ordered(other);
}
