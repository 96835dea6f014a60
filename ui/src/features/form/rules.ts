/** What the form of a credential asks for and forbids (product.md, "Credentials"); pure, so that each rule is a row of a table. */
import type { Algorithm } from "../../generated/Algorithm";
import type { CredentialDetails } from "../../generated/CredentialDetails";
import type { CredentialForm } from "../../generated/CredentialForm";
import type { CredentialKind } from "../../generated/CredentialKind";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { FormSecret } from "../../generated/FormSecret";
import type { PersonRow } from "../../generated/PersonRow";
import type { PolicyView } from "../../generated/PolicyView";
import type { Report } from "../../generated/Report";

/** The algorithms that a key can be generated for, the default first. */
export const ALGORITHMS: readonly Algorithm[] = [
  "ed25519",
  "ecdsa-p256",
  "ecdsa-p384",
  "ecdsa-p521",
  "rsa-2048",
  "rsa-3072",
  "rsa-4096",
];

/** An algorithm's name as people write it; the same in every language. */
export function algorithmName(algorithm: Algorithm): string {
  if (algorithm === "ed25519") return "Ed25519";
  const curve = /^ecdsa-p(\d+)$/.exec(algorithm)?.[1];
  if (curve !== undefined) return `ECDSA P-${curve}`;
  const bits = /^rsa-(\d+)$/.exec(algorithm)?.[1];
  return bits === undefined ? algorithm : `RSA ${bits}`;
}

/** How a credential changes by itself. */
export interface AutomaticChange {
  change: boolean;
  useItself: boolean;
  authWith: number | null;
}

export const NO_AUTOMATIC_CHANGE: AutomaticChange = { change: false, useItself: false, authWith: null };

/** "Enable automatic change" is switched: on, it begins with the key itself; off, it leaves no way to connect behind. */
export function switchChange(on: boolean): AutomaticChange {
  return on ? { change: true, useItself: true, authWith: null } : NO_AUTOMATIC_CHANGE;
}

/** "Use the key itself to connect" is switched; on, it clears the dropdown. */
export function switchItself(automatic: AutomaticChange, on: boolean): AutomaticChange {
  return { ...automatic, useItself: on, authWith: on ? null : automatic.authWith };
}

/** Whether "Use the key itself to connect" can be switched. */
export function itselfActive(automatic: AutomaticChange): boolean {
  return automatic.change;
}

/** Whether "Credential or SSH key for authentication" can be chosen. */
export function dropdownActive(automatic: AutomaticChange): boolean {
  return automatic.change && !automatic.useItself;
}

/** Whether automatic change stands without a way to connect. */
export function lacksAuthentication(automatic: AutomaticChange): boolean {
  return dropdownActive(automatic) && automatic.authWith === null;
}

/** What the form holds, but for the key and the password. */
export interface Fields {
  name: string;
  username: string;
  kind: CredentialKind;
  originalDevice: number | null;
  enabled: boolean;
  tags: readonly string[];
  owner: number | null;
  automatic: AutomaticChange;
  policy: number | null;
  /** The devices that were chosen themselves; the original device belongs to them even where it was not. */
  devices: ReadonlySet<number>;
}

/** The devices in the order of change: the original device first, then ascending IDs. */
export function orderOfChange(devices: ReadonlySet<number>, originalDevice: number | null): number[] {
  const others = [...devices].filter((id) => id !== originalDevice).sort((a, b) => a - b);
  return originalDevice === null ? others : [originalDevice, ...others];
}

/** The devices with the original one, which is always chosen. */
export function chosenDevices(devices: ReadonlySet<number>, originalDevice: number | null): ReadonlySet<number> {
  return originalDevice === null || devices.has(originalDevice) ? devices : new Set([...devices, originalDevice]);
}

/**
 * What becomes of the chosen devices when the list says which are ticked. The original device is ticked without having been
 * chosen; it must not stay behind when another becomes the original one.
 */
export function chooseDevices(
  before: ReadonlySet<number>,
  ticked: ReadonlySet<number>,
  originalDevice: number | null,
): ReadonlySet<number> {
  const devices = new Set(ticked);
  if (originalDevice === null) return devices;
  if (before.has(originalDevice)) devices.add(originalDevice);
  else devices.delete(originalDevice);
  return devices;
}

/** Whether a device is shown for a search text, and for tags of which it must have one. */
export function matches(
  device: { name: string; address: string; tags: readonly string[] },
  search: string,
  tags: readonly string[],
): boolean {
  if (tags.length > 0 && !tags.some((tag) => device.tags.includes(tag))) return false;
  const text = search.trim().toLowerCase();
  return (
    text === "" ||
    device.name.toLowerCase().includes(text) ||
    device.address.toLowerCase().includes(text) ||
    device.tags.some((tag) => tag.toLowerCase().includes(text))
  );
}

/** Why the devices can't be checked with the form as it stands; null where they can. */
export type CheckObstacle = "username" | "device" | "key" | "authentication";

export function checkObstacle(fields: Fields, hasKey: boolean): CheckObstacle | null {
  if (fields.username.trim() === "") return "username";
  if (fields.originalDevice === null) return "device";
  if (!hasKey) return "key";
  return lacksAuthentication(fields.automatic) ? "authentication" : null;
}

/** The policy that a new credential begins with. */
export function presetPolicy(policies: readonly PolicyView[]): number | null {
  return (policies.find((policy) => policy.standard) ?? policies[0])?.id ?? null;
}

/** An empty form. */
export function emptyFields(kind: CredentialKind, policies: readonly PolicyView[]): Fields {
  return {
    name: "",
    username: "",
    kind,
    originalDevice: null,
    enabled: true,
    tags: [],
    owner: null,
    automatic: NO_AUTOMATIC_CHANGE,
    policy: presetPolicy(policies),
    devices: new Set(),
  };
}

/** The form of a saved credential. */
export function fieldsOf(credential: CredentialRow): Fields {
  const automatic: AutomaticChange = credential.automatic_change
    ? { change: true, useItself: credential.auth_with_id === null, authWith: credential.auth_with_id }
    : NO_AUTOMATIC_CHANGE;
  return {
    name: credential.name,
    username: credential.username,
    kind: credential.kind,
    originalDevice: credential.original_device_id,
    enabled: credential.status !== "disabled",
    tags: credential.tags,
    owner: credential.owner_id,
    automatic,
    policy: credential.policy_id,
    // A device is taken off a saved credential only by being unticked, whichever is the original one.
    devices: new Set(credential.device_ids),
  };
}

/** The form of a copy for another account: nothing that may exist once only, and no owner to whom nothing may be given. */
export function fieldsOfCopy(credential: CredentialRow, name: string, people: readonly PersonRow[]): Fields {
  const fields = fieldsOf(credential);
  const active = people.some((person) => person.id === fields.owner && person.active);
  return { ...fields, name, username: "", enabled: true, owner: active ? fields.owner : null };
}

/** The form as Rust takes it. */
export function toForm(fields: Fields, secret: FormSecret | null): CredentialForm {
  const { change, useItself, authWith } = fields.kind === "password" ? NO_AUTOMATIC_CHANGE : fields.automatic;
  return {
    name: fields.name,
    username: fields.username,
    kind: fields.kind,
    original_device: fields.originalDevice,
    enabled: fields.enabled,
    tags: [...fields.tags],
    owner: fields.owner,
    automatic: { change, use_itself: useItself, auth_with: authWith },
    policy: fields.policy,
    devices: orderOfChange(fields.devices, fields.originalDevice),
    secret,
  };
}

/** Whether saving one would be the same as saving the other. */
export function sameFields(one: Fields, other: Fields): boolean {
  return JSON.stringify(toForm(one, null)) === JSON.stringify(toForm(other, null));
}

/** The comment of a key that is generated for the form as it stands. */
export function keyComment(fields: Fields): string {
  const name = fields.name.trim();
  const username = fields.username.trim();
  return [username, name].filter((part) => part !== "").join("@");
}

/** The IDs of the devices that the form takes off though the key of the saved credential stands there. */
export function strandedDevices(
  before: CredentialDetails,
  fields: Fields,
  devices: readonly { id: number; name: string }[],
): number[] {
  const stands = new Set(before.username_fixed);
  const names = new Map(devices.map((device) => [device.id, device.name]));
  const kept = new Set(orderOfChange(fields.devices, fields.originalDevice));
  return before.credential.device_ids.filter((id) => !kept.has(id) && stands.has(names.get(id) ?? ""));
}

/** The tabs, as they stand beside each other. */
export const TABS = ["information", "key", "additional", "devices"] as const;

export type TabId = (typeof TABS)[number];

/** The places at which an error can stand. */
export type FieldName =
  | "name"
  | "username"
  | "original_device"
  | "tags"
  | "algorithm"
  | "key"
  | "passphrase"
  | "password"
  | "owner"
  | "auth_with"
  | "policy"
  | "devices";

const TAB_OF: Record<FieldName, TabId> = {
  name: "information",
  username: "information",
  original_device: "information",
  tags: "information",
  algorithm: "key",
  key: "key",
  passphrase: "key",
  password: "key",
  owner: "additional",
  auth_with: "additional",
  policy: "additional",
  devices: "devices",
};

/** The tab that a field stands on. */
export function tabOf(field: FieldName): TabId {
  return TAB_OF[field];
}

/** Rust's names of fields that the form has under another one. */
const SAME_FIELD: Record<string, FieldName> = { automatic: "auth_with", secret: "key" };

/** Where a refusal belongs that names no field. */
const FIELD_OF_CODE: Record<string, FieldName> = {
  "name-empty": "name",
  "name-digits": "name",
  "name-control": "name",
  "name-long": "name",
  "name-taken": "name",
  "bad-username": "username",
  "username-fixed": "username",
  "bad-tag": "tags",
  "bad-hand-over": "owner",
  "authentication-missing": "auth_with",
  "authentication-twice": "auth_with",
  "authentication-unused": "auth_with",
  "authentication-itself": "auth_with",
  "password-never-changed": "auth_with",
  "key-stands": "devices",
  "bad-password": "password",
  "draft-gone": "key",
  "draft-unfit": "key",
  "key-file-empty": "key",
  "not-a-private-key": "key",
  "public-key-given": "key",
  "certificate-given": "key",
  "putty-file": "key",
  "dsa-not-supported": "key",
  "rsa-too-short": "key",
  "rsa-too-long": "key",
  "key-type-not-supported": "key",
  "key-encryption-not-supported": "key",
  "key-derivation-too-costly": "key",
  "key-file-damaged": "key",
  "key-halves-differ": "key",
  "unknown-algorithm": "algorithm",
  "algorithm-not-generated": "algorithm",
  "key-not-generated": "algorithm",
  "passphrase-needed": "passphrase",
  "wrong-passphrase": "passphrase",
};

/** The field at which a refusal is shown; null where it is about none. */
export function fieldOf(report: Report): FieldName | null {
  const named = report.field ?? null;
  if (named !== null) {
    if (Object.hasOwn(TAB_OF, named)) return named as FieldName;
    if (Object.hasOwn(SAME_FIELD, named)) return SAME_FIELD[named] ?? null;
  }
  return Object.hasOwn(FIELD_OF_CODE, report.code) ? (FIELD_OF_CODE[report.code] ?? null) : null;
}
