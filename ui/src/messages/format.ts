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

/** Formatters are dear to make and cheap to use, and a table's rows use them by the hundred while it scrolls. */
function cached<Format>(make: (language: string) => Format): () => Format {
  const made = new Map<string, Format>();
  return () => {
    const language = catalogue.language;
    const known = made.get(language);
    if (known !== undefined) return known;
    const format = make(language);
    made.set(language, format);
    return format;
  };
}

const relative = cached((language) => new Intl.RelativeTimeFormat(language, { numeric: "auto" }));
const moment = cached((language) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }));
const short = cached((language) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }));
const date = cached((language) => new Intl.DateTimeFormat(language, { dateStyle: "medium" }));
const clock = cached((language) => new Intl.DateTimeFormat(language, { timeStyle: "short" }));
const decimal = cached((language) => new Intl.NumberFormat(language));
const days = cached((language) => new Intl.NumberFormat(language, { style: "unit", unit: "day", unitDisplay: "long" }));
const names = cached((language) => new Intl.ListFormat(language, { style: "long", type: "conjunction" }));
const narrow = (unit: string, digits: number) =>
  cached(
    (language) =>
      new Intl.NumberFormat(language, {
        style: "unit",
        unit,
        unitDisplay: "narrow",
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      }),
  );
const units = { second: narrow("second", 0), minute: narrow("minute", 0), hour: narrow("hour", 0) };
const tenths = narrow("second", 1);

/** A time as people say it: "3 days ago". */
export function when(iso: string, now: Date = new Date()): string {
  const seconds = (new Date(iso).getTime() - now.getTime()) / 1000;
  const step = STEPS.find(([, length]) => Math.abs(seconds) >= length);
  if (step === undefined) return relative().format(0, "second");
  const [unit, length] = step;
  return relative().format(Math.trunc(seconds / length), unit);
}

/** The local time to the minute. */
export function minute(iso: string): string {
  return short().format(new Date(iso));
}

/** The exact local time. */
export function exact(iso: string): string {
  return moment().format(new Date(iso));
}

/** The local day. */
export function day(iso: string): string {
  return date().format(new Date(iso));
}

/** The local day without its year: what stands below the columns of a chart. */
export function monthDay(iso: string): string {
  return new Intl.DateTimeFormat(catalogue.language, { day: "numeric", month: "short" }).format(new Date(iso));
}

/** The local time of the day. */
export function hour(iso: string): string {
  return clock().format(new Date(iso));
}

/** A date of the calendar, such as `2027-03-03`, without its year. */
export function calendarDay(date: string): string {
  return monthDay(`${date}T12:00:00`);
}

/** A day of the week, from 0 for Monday. */
export function weekday(index: number, style: "long" | "short" = "long"): string {
  // The first of January 2024 was a Monday.
  const date = new Date(Date.UTC(2024, 0, 1 + index));
  return new Intl.DateTimeFormat(catalogue.language, { weekday: style, timeZone: "UTC" }).format(date);
}

/** A number with the language's separators. */
export function number(value: number): string {
  return decimal().format(value);
}

/** How old something is, in whole days: "42 days". */
export function age(iso: string, now: Date = new Date()): string {
  return days().format(Math.max(0, Math.floor((now.getTime() - new Date(iso).getTime()) / 1000 / DAY)));
}

/** How long something took: "7.3 s", "2 min 5 s". */
export function duration(seconds: number): string {
  // The narrow form glues some units to their number; a number and its unit stay on one line.
  const apart = (text: string) => text.replace(/(\d)\s*(\p{Letter})/u, "$1\u00a0$2");
  const unit = (name: keyof typeof units, value: number) => apart(units[name]().format(value));
  if (seconds < MINUTE) return apart(tenths().format(seconds));
  const whole = Math.round(seconds);
  if (whole < HOUR) return `${unit("minute", Math.floor(whole / MINUTE))} ${unit("second", whole % MINUTE)}`;
  return `${unit("hour", Math.floor(whole / HOUR))} ${unit("minute", Math.floor((whole % HOUR) / MINUTE))}`;
}

/** Names in a row: "a, b and c". */
export function list(items: readonly string[]): string {
  return names().format(items);
}
