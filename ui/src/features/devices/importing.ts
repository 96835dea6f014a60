/** What an import of a CSV file does. */
import type { DeviceRow } from "../../generated/DeviceRow";
import type { Preview } from "../../generated/Preview";

/** The columns that a file can have, in the order in which they are explained. */
export const COLUMNS = ["name", "address", "port", "jump", "tags", "authorized_keys_path", "host_key"] as const;

/** A header and two rows, as a file could begin. */
export const EXAMPLE = [
  COLUMNS.join(","),
  "jump-1,203.0.113.10,22,,edge,,",
  "web-1,10.0.0.11,22,jump-1,web;production,.ssh/authorized_keys,",
].join("\n");

/** How many devices an import adds or changes. */
export function touched(preview: Preview): number {
  return preview.new.length + preview.changed.length;
}

/** The devices of the list that an import has added or changed. */
export function importedIds(preview: Preview, devices: readonly DeviceRow[]): number[] {
  const names = new Set([...preview.new, ...preview.changed].map((row) => row.name));
  return devices.filter((device) => names.has(device.name)).map((device) => device.id);
}
