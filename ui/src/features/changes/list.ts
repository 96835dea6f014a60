/** Which changes the list shows. */
import { plain } from "../../app/search";
import type { ChangeState } from "../../generated/ChangeState";
import type { ChangeView } from "../../generated/ChangeView";
import { weekOf } from "../overview/weeks";

export interface Filters {
  text: string;
  states: readonly string[];
  credentials: readonly string[];
  kinds: readonly string[];
  /** The Monday of the week in which they began: `2026-11-23`. */
  week: string | null;
}

export const NO_FILTERS: Filters = { text: "", states: [], credentials: [], kinds: [], week: null };

/** What an address such as `#/changes?state=interrupted,failed&credential=3` narrows the list to; an outcome is a state. */
export function filtersOf(query: Record<string, string>): Filters {
  const values = (name: string) => (query[name] ?? "").split(",").filter((value) => value !== "");
  return {
    text: query["text"] ?? "",
    states: [...values("state"), ...values("outcome")],
    credentials: values("credential"),
    kinds: values("kind"),
    week: /^\d{4}-\d{2}-\d{2}$/.test(query["week"] ?? "") ? (query["week"] ?? null) : null,
  };
}

export function isFiltered(filters: Filters): boolean {
  if (filters.week !== null) return true;
  return filters.text.trim() !== "" || filters.states.length + filters.credentials.length + filters.kinds.length > 0;
}

/** The changes that every filter lets through, in their order. */
export function filtered(changes: readonly ChangeView[], filters: Filters): ChangeView[] {
  const wanted = plain(filters.text.trim());
  const among = (values: readonly string[], value: string) => values.length === 0 || values.includes(value);
  return changes.filter(
    (change) =>
      among(filters.states, change.state) &&
      among(filters.credentials, String(change.credential_id)) &&
      among(filters.kinds, change.kind) &&
      (filters.week === null || weekOf(change.started) === filters.week) &&
      [change.credential, change.requested_by, String(change.id)].some((text) => plain(text).includes(wanted)),
  );
}

/** The states in the order in which they ask for somebody's look. */
const STATES: readonly ChangeState[] = [
  "interrupted",
  "partly-changed",
  "failed",
  "running",
  "scheduled",
  "rolled-back",
  "changed",
  "cancelled",
];

/** How soon a state asks for a look, from 0. */
export function urgency(state: ChangeState): number {
  return STATES.indexOf(state);
}

/** The values that occur, with how often they do, sorted by `order`. */
export function counted<Value extends string>(
  values: readonly Value[],
  order: (a: Value, b: Value) => number,
): { value: Value; count: number }[] {
  const counts = new Map<Value, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([value, count]) => ({ value, count })).sort((a, b) => order(a.value, b.value));
}
