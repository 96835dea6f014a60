/** Credentials, devices and keys for the tests of the form. */
import { BackendError } from "../../backend/backend";
import type { Coming } from "../../generated/Coming";
import type { CredentialDetails } from "../../generated/CredentialDetails";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { DeviceRow } from "../../generated/DeviceRow";
import type { DraftKey } from "../../generated/DraftKey";
import type { PersonRow } from "../../generated/PersonRow";
import type { Report } from "../../generated/Report";

export function device(id: number, name: string, more: Partial<DeviceRow> = {}): DeviceRow {
  return {
    id,
    name,
    address: `10.0.0.${id}`,
    port: 22,
    jump: null,
    jump_with: null,
    tags: [],
    authorized_keys_path: null,
    enabled: true,
    host_keys: [],
    jump_id: null,
    jump_with_id: null,
    credentials: [],
    host_key_state: "pinned",
    last_seen: null,
    changed_host_key: null,
    ...more,
  };
}

export function person(id: number, name: string, more: Partial<PersonRow> = {}): PersonRow {
  return { id, name, email: null, active: true, credentials: [], ...more };
}

export function credential(id: number, name: string, more: Partial<CredentialRow> = {}): CredentialRow {
  return {
    id,
    name,
    kind: "ssh-key",
    username: "deploy",
    owner: null,
    original_device: "web-2",
    devices: ["web-2", "web-1", "web-3"],
    tags: ["prod"],
    algorithm: "ed25519",
    fingerprint: "SHA256:saved",
    public_key: "ssh-ed25519 AAAAsaved deploy@web",
    imported_from: null,
    automatic_change: false,
    authentication: "itself",
    policy: "Standard",
    maximum_age_days: 90,
    next_change: null,
    next_change_due: null,
    next_change_reason: null,
    next_change_standing: null,
    status: "enabled",
    key_versions: [],
    state: "on-request",
    key_created: "2026-10-01T00:00:00Z",
    owner_id: null,
    original_device_id: 2,
    device_ids: [2, 1, 3],
    auth_with_id: null,
    policy_id: 1,
    ...more,
  };
}

export function details(row: CredentialRow, more: Partial<CredentialDetails> = {}): CredentialDetails {
  return {
    credential: row,
    randomart: "+--[ED25519 256]--+",
    username_fixed: [],
    truth: [],
    others_with_key: [],
    retired: [],
    changes: [],
    ...more,
  };
}

export function draftKey(draft: number, more: Partial<DraftKey> = {}): DraftKey {
  return {
    draft,
    algorithm: "ed25519",
    comment: "deploy@web",
    public_key: `ssh-ed25519 AAAA${draft} deploy@web`,
    fingerprint: `SHA256:draft-${draft}`,
    randomart: "+--[ED25519 256]--+",
    file: null,
    others: [],
    ...more,
  };
}

export function refusal(code: string, more: Partial<Report> = {}): BackendError {
  return new BackendError({ code, message: `${code} happened.`, hint: `Mend ${code}.`, subject: null, ...more });
}

/** The change of a key that is ninety days old on the first of June. */
export function coming(more: Partial<Coming> = {}): Coming {
  const due = "2027-06-01T10:00:00Z";
  const reason = { kind: "age" as const, days: 90, since: "2027-03-03T10:00:00Z" };
  return { due, at: due, overdue_from: "2027-06-03T00:00:00Z", reason, standing: "up-to-date", ...more };
}

/** What the dialogs of the tests add: as a device, and as a person. */
export const added = { ...device(9, "new-9"), ...person(9, "new-9") };
