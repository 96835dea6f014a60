/** Which keys are due, and on which day: what Overview and the filters of the list of credentials share. */
import { dateOf } from "../../components/calendar";
import type { CredentialRow } from "../../generated/CredentialRow";

/** What the filter `due` of an address can say: overdue, or due within seven days or now. */
export const DUES = ["overdue", "week"] as const;

export type Due = (typeof DUES)[number];

const WEEK = 7 * 24 * 60 * 60 * 1000;

/** Whether a credential's key is overdue, or due in the next seven days; null for neither. */
export function dueOf(row: CredentialRow, now: Date): Due | null {
  if (row.next_change_standing === "overdue") return "overdue";
  if (row.next_change === null) return null;
  return new Date(row.next_change).getTime() <= now.getTime() + WEEK ? "week" : null;
}

/** The day on which a credential changes by itself next: today where its time has come. */
export function comingDay(row: CredentialRow, now: Date): string | null {
  if (row.next_change === null) return null;
  return dateOf(new Date(Math.max(new Date(row.next_change).getTime(), now.getTime())));
}
