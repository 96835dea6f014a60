/** Times and numbers as the language writes them. */
import { catalogue } from "./catalogue.svelte";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["year", 365 * DAY],
  ["month", 30 * DAY],
  ["week", 7 * DAY],
  ["day", DAY],
  ["hour", HOUR],
  ["minute", MINUTE],
];

/** A time as people say it: "3 days ago". */
export function when(iso: string, now: Date = new Date()): string {
  const seconds = (new Date(iso).getTime() - now.getTime()) / 1000;
  const relative = new Intl.RelativeTimeFormat(catalogue.language, { numeric: "auto" });
  const step = STEPS.find(([, length]) => Math.abs(seconds) >= length);
  if (step === undefined) return relative.format(0, "second");
  const [unit, length] = step;
  return relative.format(Math.trunc(seconds / length), unit);
}

/** The exact local time. */
export function exact(iso: string): string {
  const format = new Intl.DateTimeFormat(catalogue.language, { dateStyle: "medium", timeStyle: "medium" });
  return format.format(new Date(iso));
}

/** The local day. */
export function day(iso: string): string {
  return new Intl.DateTimeFormat(catalogue.language, { dateStyle: "medium" }).format(new Date(iso));
}

/** The local day without its year: what stands below the columns of a chart. */
export function monthDay(iso: string): string {
  return new Intl.DateTimeFormat(catalogue.language, { day: "numeric", month: "short" }).format(new Date(iso));
}

/** The local time of day, to the second: what a change's own page shows beside its stages. */
export function clock(iso: string): string {
  return new Intl.DateTimeFormat(catalogue.language, { timeStyle: "medium" }).format(new Date(iso));
}

/** A number with the language's separators. */
export function number(value: number): string {
  return new Intl.NumberFormat(catalogue.language).format(value);
}

/** How old something is, in whole days: "42 days". */
export function age(iso: string, now: Date = new Date()): string {
  const days = Math.max(0, Math.floor((now.getTime() - new Date(iso).getTime()) / 1000 / DAY));
  const format = new Intl.NumberFormat(catalogue.language, { style: "unit", unit: "day", unitDisplay: "long" });
  return format.format(days);
}

/** How long something took: "7.3 s", "2 min 5 s". */
export function duration(seconds: number): string {
  const unit = (value: number, name: "second" | "minute" | "hour", digits = 0) =>
    new Intl.NumberFormat(catalogue.language, {
      style: "unit",
      unit: name,
      unitDisplay: "narrow",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    })
      .format(value)
      .replace(/(\d)\s*(\p{Letter})/u, "$1\u00a0$2");
  if (seconds < MINUTE) return unit(seconds, "second", 1);
  const whole = Math.round(seconds);
  if (whole < HOUR) return `${unit(Math.floor(whole / MINUTE), "minute")} ${unit(whole % MINUTE, "second")}`;
  return `${unit(Math.floor(whole / HOUR), "hour")} ${unit(Math.floor((whole % HOUR) / MINUTE), "minute")}`;
}

/** Names in a row: "a, b and c". */
export function list(names: readonly string[]): string {
  return new Intl.ListFormat(catalogue.language, { style: "long", type: "conjunction" }).format(names);
}
