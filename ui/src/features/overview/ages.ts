/** How old keys are, in the steps that the chart and the filter `age` of the list of credentials share. */

const DAY = 24 * 60 * 60 * 1000;

/** The steps: what an address calls them, and the days they begin and end with. */
export const AGES = [
  { id: "0-30", from: 0, to: 30 },
  { id: "31-90", from: 31, to: 90 },
  { id: "91-180", from: 91, to: 180 },
  { id: "181-365", from: 181, to: 365 },
  { id: "366-", from: 366, to: null },
] as const;

export type Age = (typeof AGES)[number];

/** How many whole days ago a key was made. */
export function daysOld(created: string, now: Date): number {
  return Math.max(0, Math.floor((now.getTime() - new Date(created).getTime()) / DAY));
}

/** The step that a key's age is in. */
export function ageOf(created: string, now: Date): Age {
  const days = daysOld(created, now);
  return AGES.find((age) => age.to === null || days <= age.to) ?? AGES[4];
}
