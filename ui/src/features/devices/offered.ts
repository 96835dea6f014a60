/** What a scan of host keys found, and what may be done with each of them. */
import { plain } from "../../app/search";
import type { DeviceRow } from "../../generated/DeviceRow";
import type { OfferedKeyView } from "../../generated/OfferedKeyView";
import type { Pin } from "../../generated/Pin";
import type { Report } from "../../generated/Report";
import type { Scanned } from "../../generated/Scanned";

/** How an offered key stands: new ones are told apart by whether another program knows them. */
export type Offered = "changed" | "new" | "matches" | "pinned";

/** The states, the one that only a person can decide first. */
export const OFFERED: readonly Offered[] = ["changed", "new", "matches", "pinned"];

/** A host key that a device offers, as a row. */
export interface KeyRow {
  id: string;
  key: OfferedKeyView;
  /** How it stood when it was offered; the rows are ordered by this, so that none jumps away when it is pinned. */
  found: Offered;
  /** How it stands now. */
  state: Offered;
}

/** A device that could not be asked. */
export interface Unreached {
  id: number;
  device: string;
  report: Report;
}

/** The keys of all answers, each as it stands now: what the list of devices says is pinned counts, not what was asked for. */
export function keyRows(answers: readonly Scanned[], devices: readonly DeviceRow[]): KeyRow[] {
  const pinned = new Set(devices.flatMap((device) => device.host_keys.map((key) => rowId(device.id, key.fingerprint))));
  return answers.flatMap((answer) =>
    answer.keys.map((key) => {
      const id = rowId(key.device_id, key.fingerprint);
      const found = stood(key);
      return { id, key, found, state: pinned.has(id) ? "pinned" : found };
    }),
  );
}

/** The devices that could not be asked. */
export function unreached(answers: readonly Scanned[]): Unreached[] {
  return answers.flatMap((answer) =>
    answer.error === null ? [] : [{ id: answer.device_id, device: answer.device, report: answer.error }],
  );
}

/** Whether a key can be pinned together with others. One in the place of a pinned key never can. */
export function pinnable(row: KeyRow): boolean {
  return row.state === "new" || row.state === "matches";
}

/** What pins keys that nothing stands against. */
export function pins(rows: readonly KeyRow[]): Pin[] {
  return rows
    .filter(pinnable)
    .map(({ key }) => ({ device_id: key.device_id, fingerprint: key.fingerprint, replace: false }));
}

/** What pins one key in the place of another: a decision of its own. */
export function replacement(row: KeyRow): Pin {
  return { device_id: row.key.device_id, fingerprint: row.key.fingerprint, replace: true };
}

/** The keys that a text and states leave. */
export function narrowed(rows: readonly KeyRow[], text: string, states: readonly string[]): readonly KeyRow[] {
  const words = plain(text).split(/\s+/).filter((word) => word !== "");
  if (words.length === 0 && states.length === 0) return rows;
  return rows.filter(({ key, state }) => {
    if (states.length > 0 && !states.includes(state)) return false;
    const searched = plain([key.device, key.algorithm, key.fingerprint, ...key.instead_of].join("\n"));
    return words.every((word) => searched.includes(word));
  });
}

function stood(key: OfferedKeyView): Offered {
  if (key.state !== "new") return key.state;
  return key.matches_known_hosts ? "matches" : "new";
}

function rowId(device: number, fingerprint: string): string {
  return `${device} ${fingerprint}`;
}
