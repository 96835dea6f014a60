/** The fields of a device's form: what they hold, what is missing, and what is sent. */
import type { DeviceRow } from "../../generated/DeviceRow";
import type { NewDevice } from "../../generated/NewDevice";
import type { Report } from "../../generated/Report";
import { t } from "../../messages";
import { told } from "../../messages/told";

/** The fields as they are typed and chosen. */
export interface Fields {
  name: string;
  address: string;
  port: string;
  jump: string | null;
  jumpWith: string | null;
  tags: string[];
  path: string;
  enabled: boolean;
}

/** A field's name, as a report of the core gives it. */
export type FieldName = "name" | "address" | "port" | "jump" | "jump_with" | "tags" | "authorized_keys_path";

const NAMES: readonly string[] = [
  "name",
  "address",
  "port",
  "jump",
  "jump_with",
  "tags",
  "authorized_keys_path",
] satisfies FieldName[];

/** What is wrong with a field, and what to do about it. */
export interface Wrong {
  error: string;
  hint: string;
}

export type Wrongs = Partial<Record<FieldName, Wrong>>;

/** The port of SSH (RFC 4251, section 9). */
const DEFAULT_PORT = "22";

/** The fields of a device, or of a new one. */
export function fieldsOf(device: DeviceRow | null): Fields {
  return {
    name: device?.name ?? "",
    address: device?.address ?? "",
    port: device === null ? DEFAULT_PORT : String(device.port),
    jump: text(device?.jump_id),
    jumpWith: text(device?.jump_with_id),
    tags: [...(device?.tags ?? [])],
    path: device?.authorized_keys_path ?? "",
    enabled: device?.enabled ?? true,
  };
}

/** Whether something differs, so that it would be lost. */
export function differs(a: Fields, b: Fields): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}

/** What can be said without asking the core, in the window's own language. */
export function wrongs(fields: Fields): Wrongs {
  const found: Wrongs = {};
  if (fields.name.trim() === "") found.name = { error: t("devices.nameMissing"), hint: t("devices.nameMissingHint") };
  if (fields.address.trim() === "") {
    found.address = { error: t("devices.addressMissing"), hint: t("devices.addressMissingHint") };
  }
  if (port(fields.port) === null) {
    found.port = { error: t("devices.portWrong", { port: fields.port.trim() }), hint: t("devices.portWrongHint") };
  }
  return found;
}

/** Where a report of the core belongs; null where it is about no field of this form. */
export function wrongOf(report: Report): Wrongs | null {
  const field = report.field ?? "";
  if (!NAMES.includes(field)) return null;
  const { message, hint } = told(report);
  return { [field]: { error: message, hint } };
}

/** What is sent. */
export function sent(fields: Fields): NewDevice {
  return {
    name: fields.name,
    address: fields.address,
    port: port(fields.port) ?? 0,
    jump: number(fields.jump),
    // Without a jump device the credential for it would be refused.
    jump_with: fields.jump === null ? null : number(fields.jumpWith),
    tags: fields.tags,
    authorized_keys_path: fields.path,
    enabled: fields.enabled,
  };
}

function port(typed: string): number | null {
  const digits = typed.trim();
  if (!/^\d{1,5}$/.test(digits)) return null;
  const value = Number(digits);
  return value >= 1 && value <= 65_535 ? value : null;
}

function text(id: number | null | undefined): string | null {
  return id === null || id === undefined ? null : String(id);
}

function number(id: string | null): number | null {
  return id === null ? null : Number(id);
}
