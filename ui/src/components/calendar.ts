/** Days in weeks from Monday to Sunday. */

/** A day of the calendar, such as `2027-03-03`. */
export interface Dated {
  date: string;
}

/** Days that follow one another in weeks; what lies before the first and after the last is empty. */
export function weeksOf<Day extends Dated>(days: readonly Day[]): (Day | null)[][] {
  const [first] = days;
  if (first === undefined) return [];
  const cells: (Day | null)[] = [...Array<null>(weekdayOf(first.date)).fill(null), ...days];
  while (cells.length % 7 !== 0) cells.push(null);
  return Array.from({ length: cells.length / 7 }, (_, week) => cells.slice(7 * week, 7 * week + 7));
}

/** The day of the week, from 0 for Monday. */
export function weekdayOf(date: string): number {
  return (new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7;
}

/** The day of the month. */
export function dayOfMonth(date: string): number {
  return Number(date.slice(8, 10));
}

/** The day that a number of days comes after another. */
export function daysAfter(date: string, count: number): string {
  const day = new Date(`${date}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() + count);
  return day.toISOString().slice(0, 10);
}

/** The local day of a time. */
export function dateOf(time: string | Date): string {
  const at = new Date(time);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
