/** What a restore will change, in groups: those that come first, those that stay the same without names. */
import type { RestoreComparison } from "../../generated/RestoreComparison";
import type { RestorePreview } from "../../generated/RestorePreview";
import type { RestoreRow } from "../../generated/RestoreRow";

/** How many names of a group are shown before "and 3 more". */
const NAMES = 8;

export type Noun = "people" | "devices" | "credentials";

export interface Group {
  noun: Noun;
  comparison: RestoreComparison;
  count: number;
  /** The first names; none for what stays the same. */
  names: string[];
  /** How many more there are. */
  more: number;
}

const ORDER: readonly RestoreComparison[] = ["new", "differs", "cannot-come", "removed", "only-here", "same"];

/** The groups that have something in them, by noun. */
export function groups(preview: RestorePreview): Group[] {
  const of = (noun: Noun, rows: readonly RestoreRow[]) =>
    ORDER.map((comparison) => group(noun, comparison, rows)).filter((each) => each.count > 0);
  return [
    ...of("people", preview.people),
    ...of("devices", preview.devices),
    ...of("credentials", preview.credentials),
  ];
}

function group(noun: Noun, comparison: RestoreComparison, rows: readonly RestoreRow[]): Group {
  const all = rows.filter((row) => row.comparison === comparison).map((row) => row.name);
  const names = comparison === "same" ? [] : all.slice(0, NAMES);
  return { noun, comparison, count: all.length, names, more: comparison === "same" ? 0 : all.length - names.length };
}
