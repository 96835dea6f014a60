/** What the list of credentials computes without a page: filters and orders. */
import { plain } from "../../app/search";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { CredentialState } from "../../generated/CredentialState";
import { AGES, ageOf } from "../overview/ages";
import { comingDay, dueOf, DUES } from "../overview/due";
import { place, STATES } from "./state";

/** What is shown; in each list any of the chosen will do, and an empty one lets all through. */
export interface Filters {
  search: string;
  states: string[];
  /** IDs of people, or `none`. */
  owners: string[];
  tags: string[];
  /** IDs of devices. */
  devices: string[];
  /** As Rust writes them: `rsa-3072`. */
  algorithms: string[];
  /** Steps of the chart of key ages: `31-90`. */
  ages: string[];
  /** `overdue`, or `week` for due within seven days. */
  dues: string[];
  /** Days on which keys change by themselves: `2027-03-03`. */
  comings: string[];
  /** IDs of policies. */
  policies: string[];
}

export const NO_FILTERS: Filters = {
  search: "",
  states: [],
  owners: [],
  tags: [],
  devices: [],
  algorithms: [],
  ages: [],
  dues: [],
  comings: [],
  policies: [],
};

/** Stands for "nobody" where an owner's ID would. */
export const NOBODY = "none";

const texts = new WeakMap<CredentialRow, string>();

/** What of a row is searched: read once a row, since it is asked at every key press. */
function searched(row: CredentialRow): string {
  const known = texts.get(row);
  if (known !== undefined) return known;
  const fingerprints = row.key_versions.map((version) => version.fingerprint);
  const all = [row.name, row.username, row.owner ?? "", row.original_device, ...row.tags, ...fingerprints];
  const text = plain(all.join("\n"));
  texts.set(row, text);
  return text;
}

/** The rows that pass the filters. Several words must all be found. */
export function shown(rows: readonly CredentialRow[], filters: Filters): CredentialRow[] {
  const words = plain(filters.search).split(/\s+/).filter((word) => word !== "");
  const states = new Set(filters.states);
  const owners = new Set(filters.owners);
  const tags = new Set(filters.tags);
  const devices = new Set(filters.devices.map(Number));
  const algorithms = new Set(filters.algorithms);
  const ages = new Set(filters.ages);
  const dues = new Set(filters.dues);
  const comings = new Set(filters.comings);
  const policies = new Set(filters.policies.map(Number));
  const now = new Date();
  return rows.filter(
    (row) =>
      (states.size === 0 || states.has(row.state)) &&
      (owners.size === 0 || owners.has(row.owner_id === null ? NOBODY : String(row.owner_id))) &&
      (tags.size === 0 || row.tags.some((tag) => tags.has(tag))) &&
      (devices.size === 0 || row.device_ids.some((device) => devices.has(device))) &&
      (algorithms.size === 0 || (row.algorithm !== null && algorithms.has(row.algorithm))) &&
      (ages.size === 0 || (row.kind === "ssh-key" && row.key_created !== null && ages.has(ageOf(row.key_created, now).id))) &&
      (dues.size === 0 || dues.has(dueOf(row, now) ?? "")) &&
      (comings.size === 0 || comings.has(comingDay(row, now) ?? "")) &&
      (policies.size === 0 || (row.kind === "ssh-key" && policies.has(row.policy_id))) &&
      words.every((word) => searched(row).includes(word)),
  );
}

/** Whether anything is filtered. */
export function isFiltered(filters: Filters): boolean {
  const { search, ...lists } = filters;
  return search.trim() !== "" || Object.values(lists).some((list) => list.length > 0);
}

/** The filters that an address names (`?state=interrupted,not-ready`), or null where it names none. */
export function fromQuery(query: Record<string, string>): Filters | null {
  const list = (name: string) => (query[name] ?? "").split(",").filter((part) => part !== "");
  const states = list("state").filter((state) => STATES.includes(state as CredentialState));
  // A tag may hold a comma; an address names one.
  const tags = query["tag"] ? [query["tag"]] : [];
  const filters = {
    search: query["search"] ?? "",
    states,
    owners: list("owner"),
    tags,
    devices: list("device"),
    algorithms: list("algorithm"),
    ages: list("age").filter((age) => AGES.some((known) => known.id === age)),
    dues: list("due").filter((due) => DUES.some((known) => known === due)),
    comings: list("coming").filter((day) => /^\d{4}-\d{2}-\d{2}$/.test(day)),
    policies: list("policy").filter((id) => /^\d+$/.test(id)),
  };
  return isFiltered(filters) ? filters : null;
}

/** What a filter offers. */
export interface Choice {
  value: string;
  label: string;
  count: number;
}

/** The choices that the rows give rise to, in the order of their labels; owners and devices by ID. */
export function choices(rows: readonly CredentialRow[], nobody: string) {
  const states = new Map<string, Choice>();
  const owners = new Map<string, Choice>();
  const tags = new Map<string, Choice>();
  const devices = new Map<number, Choice>();
  const algorithms = new Map<string, Choice>();
  const policies = new Map<number, Choice>();
  const count = <Key>(map: Map<Key, Choice>, key: Key, label: string) => {
    const known = map.get(key);
    if (known === undefined) map.set(key, { value: String(key), label, count: 1 });
    else known.count += 1;
  };
  for (const row of rows) {
    count(states, row.state, row.state);
    count(owners, row.owner_id === null ? NOBODY : String(row.owner_id), row.owner ?? nobody);
    if (row.algorithm !== null) count(algorithms, row.algorithm, row.algorithm);
    if (row.kind === "ssh-key") count(policies, row.policy_id, row.policy);
    for (const tag of row.tags) count(tags, tag, tag);
    row.device_ids.forEach((id, index) => count(devices, id, row.devices[index] ?? String(id)));
  }
  const byLabel = (map: Map<unknown, Choice>) => [...map.values()].sort((a, b) => compare(a.label, b.label));
  return {
    states: STATES.flatMap((state) => states.get(state) ?? []),
    owners: byLabel(owners),
    tags: byLabel(tags),
    devices: byLabel(devices),
    algorithms: byLabel(algorithms),
    policies: byLabel(policies),
  };
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/** Names as people order them: "web-2" before "web-10". */
export function compare(a: string, b: string): number {
  return collator.compare(a, b);
}

const byText = (text: (row: CredentialRow) => string | null) => (a: CredentialRow, b: CredentialRow) => {
  const [one, other] = [text(a), text(b)];
  // What is empty comes last.
  if (one === null || other === null) return Number(one === null) - Number(other === null);
  return compare(one, other);
};

/** How each column is sorted, ascending. */
export const ORDERS = {
  name: byText((row) => row.name),
  username: byText((row) => row.username),
  kind: byText((row) => row.kind),
  owner: byText((row) => row.owner),
  original: byText((row) => row.original_device),
  devices: (a: CredentialRow, b: CredentialRow) => a.device_ids.length - b.device_ids.length,
  algorithm: byText((row) => row.algorithm),
  // Ascending by age: the youngest first. Times are compared as times: zones and fractions may be written in more than one way.
  age: (a: CredentialRow, b: CredentialRow) => created(b) - created(a),
  // What does not change by itself comes last.
  next: (a: CredentialRow, b: CredentialRow) => next(a) - next(b) || compare(a.name, b.name),
  state: (a: CredentialRow, b: CredentialRow) => place(a.state) - place(b.state) || compare(a.name, b.name),
};

function created(row: CredentialRow): number {
  return row.key_created === null ? 0 : new Date(row.key_created).getTime();
}

function next(row: CredentialRow): number {
  return row.next_change === null ? Number.MAX_VALUE : new Date(row.next_change).getTime();
}

/** The IDs of an address (`?ids=1,2,3`). */
export function numbers(ids: string | undefined): number[] {
  return (ids ?? "").split(",").filter((id) => /^\d+$/.test(id)).map(Number);
}
