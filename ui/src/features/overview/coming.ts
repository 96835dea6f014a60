/** The calendar of coming changes. */
import { dateOf, daysAfter, weekdayOf } from "../../components/calendar";
import type { CredentialRow } from "../../generated/CredentialRow";
import { href } from "../../app/router.svelte";
import { comingDay } from "./due";

/** How many weeks are drawn, this one with them. */
export const COMING_WEEKS = 6;

/** A day, how many keys change by themselves on it, and the list of just these. */
export interface ComingDay {
  date: string;
  count: number;
  href: string;
  /** Whether it lies before today. */
  past: boolean;
}

/** The days of the coming weeks. */
export function comingDays(credentials: readonly CredentialRow[], now: Date): ComingDay[] {
  const counts = new Map<string, number>();
  for (const row of credentials) {
    const day = comingDay(row, now);
    if (day !== null) counts.set(day, (counts.get(day) ?? 0) + 1);
  }
  const today = dateOf(now);
  const monday = daysAfter(today, -weekdayOf(today));
  return Array.from({ length: 7 * COMING_WEEKS }, (_, index) => {
    const date = daysAfter(monday, index);
    return {
      date,
      count: counts.get(date) ?? 0,
      href: href("credentials", null, null, { coming: date }),
      past: date < today,
    };
  });
}
