/** Weeks from Monday to Sunday of the local time, as the chart and the filter `week` of the list of changes share them. */
import type { ChangeState } from "../../generated/ChangeState";

/** The ends that a change can have, the best first; what still runs or waits has none. */
export const OUTCOMES = ["changed", "partly-changed", "rolled-back", "interrupted", "failed"] as const;

export type ChangeOutcome = (typeof OUTCOMES)[number];

/** How a change ended. */
export function outcomeOf(state: ChangeState): ChangeOutcome | null {
  return OUTCOMES.find((outcome) => outcome === state) ?? null;
}

/** The Monday of a time's week, as an address calls it: `2026-11-23`. */
export function weekOf(at: string | Date): string {
  const time = new Date(at);
  return written(new Date(time.getFullYear(), time.getMonth(), time.getDate() - ((time.getDay() + 6) % 7)));
}

/** The Mondays of the last weeks up to the present one, the oldest first. */
export function lastWeeks(count: number, now: Date): string[] {
  const [year = 0, month = 1, day = 1] = weekOf(now).split("-").map(Number);
  return Array.from({ length: count }, (_, index) => written(new Date(year, month - 1, day - 7 * (count - 1 - index))));
}

/** A week's Monday as a time, for what writes it out. */
export function monday(week: string): string {
  const [year = 0, month = 1, day = 1] = week.split("-").map(Number);
  return new Date(year, month - 1, day).toISOString();
}

function written(day: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}
