/** Credentials as tests need them. */
import type { ChangeView } from "../../generated/ChangeView";
import type { CredentialDetails } from "../../generated/CredentialDetails";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { DeviceFinding } from "../../generated/DeviceFinding";
import type { DeviceTruth } from "../../generated/DeviceTruth";
import type { KeyVersionView } from "../../generated/KeyVersionView";
import type { Report } from "../../generated/Report";

export function keyVersion(version: number, state: KeyVersionView["state"]): KeyVersionView {
  return { version, state, compromised: false, fingerprint: `SHA256:key${version}`, algorithm: "ed25519", created: `2026-0${version}-01T10:00:00Z` };
}

export function row(fields: Partial<CredentialRow> = {}): CredentialRow {
  return {
    id: 1,
    name: "deploy",
    kind: "ssh-key",
    username: "deploy",
    owner: "Ana Souza",
    original_device: "web-3",
    devices: ["web-3", "web-1", "web-2"],
    tags: ["production"],
    algorithm: "ed25519",
    fingerprint: "SHA256:key2",
    public_key: "ssh-ed25519 AAAAC3Nza deploy@web-3",
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
    key_versions: [keyVersion(1, "destroyed"), keyVersion(2, "current")],
    state: "on-request",
    key_created: "2026-02-01T10:00:00Z",
    owner_id: 7,
    original_device_id: 3,
    device_ids: [3, 1, 2],
    auth_with_id: null,
    policy_id: 1,
    ...fields,
  };
}

export function truth(id: number, answers: Record<number, "accepted" | "refused" | "unknown">): DeviceTruth {
  const versions = Object.entries(answers).map(([version, answer]) => ({
    version: Number(version),
    fingerprint: `SHA256:key${version}`,
    state: version === "2" ? ("current" as const) : ("retired" as const),
    answer,
    at: answer === "unknown" ? null : "2026-03-01T10:00:00Z",
  }));
  return { device_id: id, device: `web-${id}`, enabled: true, listed: true, versions };
}

export function details(fields: Partial<CredentialDetails> = {}, credential: Partial<CredentialRow> = {}): CredentialDetails {
  return {
    credential: row(credential),
    randomart: "+--[ED25519 256]--+",
    username_fixed: ["web-3", "web-1", "web-2"],
    truth: [truth(3, { 2: "accepted" }), truth(1, { 2: "accepted" }), truth(2, { 2: "accepted" })],
    others_with_key: [],
    changes: [],
    retired: [],
    ...fields,
  };
}

export function change(id: number, state: ChangeView["state"], fields: Partial<ChangeView> = {}): ChangeView {
  return {
    id,
    credential: "deploy",
    credential_id: 1,
    kind: "rotate",
    state,
    strategy: "two-phase",
    on_failure: "roll-back",
    requested_by: "ana@desk",
    started: "2026-03-01T10:00:00Z",
    ended: null,
    devices_done: 0,
    devices: 3,
    reason: "request",
    scheduled_for: null,
    series: null,
    attempt: null,
    attempts: 1,
    seconds: null,
    ...fields,
  };
}

export function report(code: string, message: string, hint = "Do something about it."): Report {
  return { code, message, hint, subject: null };
}

export function finding(id: number, fields: Partial<DeviceFinding["finding"]> = {}): DeviceFinding {
  return {
    device_id: id,
    finding: {
      device: `web-${id}`,
      ready: true,
      method: "shell",
      files: [],
      old_key_lines: 1,
      problems: [],
      warnings: [],
      other_keys: [],
      ...fields,
    },
    files: [],
  };
}
