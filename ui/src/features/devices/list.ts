/** Which devices the list shows, and in which order. */
import { plain } from "../../app/search";
import type { DeviceRow } from "../../generated/DeviceRow";
import type { HostKeyStanding } from "../../generated/HostKeyStanding";
import { catalogue } from "../../messages/catalogue.svelte";

/** What the list is narrowed to; a kind of which nothing is chosen narrows nothing. */
export interface Filters {
  text: string;
  states: string[];
  tags: string[];
  credentials: string[];
  statuses: string[];
}

/** What stands for "none" among tags and credentials: no name can be empty. */
export const NOTHING = "";

export const NO_FILTERS: Filters = { text: "", states: [], tags: [], credentials: [], statuses: [] };

/** The host key states, the ones that ask for something first. */
export const STANDINGS: readonly HostKeyStanding[] = ["changed", "none", "pinned"];

/** The filters that an address names: `#/devices?state=changed,none&tag=web`. */
export function filtersOf(query: Record<string, string>): Filters {
  const one = (name: string) => (query[name] === undefined ? [] : [query[name]]);
  return {
    text: query["search"] ?? "",
    states: query["state"]?.split(",") ?? [],
    tags: one("tag"),
    credentials: one("credential"),
    statuses: one("status"),
  };
}

/** Whether anything is narrowed. */
export function narrows(filters: Filters): boolean {
  return Object.values(filters).some((filter: string | string[]) => filter.length > 0);
}

/** The devices that pass all filters. */
export function filtered(rows: readonly DeviceRow[], filters: Filters): readonly DeviceRow[] {
  if (!narrows(filters)) return rows;
  const words = plain(filters.text).split(/\s+/).filter((word) => word !== "");
  const any = (chosen: readonly string[], has: readonly string[]) =>
    chosen.length === 0 || chosen.some((name) => (name === NOTHING ? has.length === 0 : has.includes(name)));
  return rows.filter(
    (row) =>
      any(filters.states, [row.host_key_state]) &&
      any(filters.statuses, [row.enabled ? "enabled" : "disabled"]) &&
      any(filters.tags, row.tags) &&
      any(filters.credentials, row.credentials) &&
      words.every((word) => searched(row).includes(word)),
  );
}

const texts = new WeakMap<DeviceRow, string>();

/** All of a row that is searched, made once: a key pressed in the search box asks for 10,000 of them. */
function searched(row: DeviceRow): string {
  const known = texts.get(row);
  if (known !== undefined) return known;
  const text = plain([row.name, row.address, String(row.id), ...row.tags, ...row.credentials].join("\n"));
  texts.set(row, text);
  return text;
}

/** A choice of a filter, with how many devices it has. */
export interface Choice {
  value: string;
  count: number;
}

/** The values that devices have of a kind, by name, and that some have none. */
export function choices(rows: readonly DeviceRow[], values: (row: DeviceRow) => readonly string[]): Choice[] {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const has = values(row);
    for (const value of has.length === 0 ? [NOTHING] : has) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const names = [...counts.keys()].filter((name) => name !== NOTHING).sort(collator().compare);
  if (counts.has(NOTHING) && names.length > 0) names.push(NOTHING);
  return names.map((value) => ({ value, count: counts.get(value) ?? 0 }));
}

/** By a text as people order it, "web-2" before "web-10"; the texts are put in order once, not at each comparison. */
export function byText<Row extends object>(rows: readonly Row[], text: (row: Row) => string): (a: Row, b: Row) => number {
  let places: Map<string, number> | undefined;
  const place = (row: Row) => {
    places ??= new Map([...new Set(rows.map(text))].sort(collator().compare).map((each, index) => [each, index]));
    return places.get(text(row)) ?? 0;
  };
  return (a, b) => place(a) - place(b);
}

/** By how many credentials list them, as the column shows it; with as many, by their names. */
export function byCredentials(rows: readonly DeviceRow[]): (a: DeviceRow, b: DeviceRow) => number {
  const names = byText(rows, (row) => row.credentials.join(", "));
  return (a, b) => a.credentials.length - b.credentials.length || names(a, b);
}

/** By state, the ones that ask for something first. */
export function byStanding(a: DeviceRow, b: DeviceRow): number {
  return STANDINGS.indexOf(a.host_key_state) - STANDINGS.indexOf(b.host_key_state);
}

/** The longest unseen first. */
export function byLastSeen(a: DeviceRow, b: DeviceRow): number {
  const time = (row: DeviceRow) => row.last_seen ?? "";
  return time(a) < time(b) ? -1 : time(a) > time(b) ? 1 : 0;
}

/** What an address says of which devices to scan. */
export function scanned(query: Record<string, string>): number[] | "all" {
  const ids = query["ids"] ?? "all";
  return ids === "all" ? "all" : ids.split(",").filter((id) => /^\d+$/.test(id)).map(Number);
}

function collator(): Intl.Collator {
  return new Intl.Collator(catalogue.language, { numeric: true, sensitivity: "base" });
}
