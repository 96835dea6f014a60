/** For tests: rows as Rust lists them. */
import type { ChangeView } from "../../generated/ChangeView";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { DeviceRow } from "../../generated/DeviceRow";

export function device(id: number, more: Partial<DeviceRow> = {}): DeviceRow {
  return {
    id,
    name: `web-${id}`,
    address: `192.0.2.${id}`,
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

export function credential(id: number, more: Partial<CredentialRow> = {}): CredentialRow {
  return {
    id,
    name: `deploy-${id}`,
    kind: "ssh-key",
    username: "deploy",
    owner: null,
    original_device: "web-1",
    devices: ["web-1"],
    tags: [],
    algorithm: "ed25519",
    fingerprint: `SHA256:key${id}`,
    public_key: "ssh-ed25519 AAAA deploy",
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
    key_created: "2026-11-01T12:00:00Z",
    owner_id: null,
    original_device_id: 1,
    device_ids: [1],
    auth_with_id: null,
    policy_id: 1,
    ...more,
  };
}

export function change(id: number, more: Partial<ChangeView> = {}): ChangeView {
  return {
    id,
    credential: "deploy-1",
    credential_id: 1,
    kind: "rotate",
    state: "changed",
    strategy: "two-phase",
    on_failure: "roll-back",
    requested_by: "ana",
    started: "2026-11-24T12:00:00Z",
    ended: "2026-11-24T12:00:07Z",
    devices_done: 1,
    devices: 1,
    reason: "request",
    scheduled_for: null,
    series: null,
    attempt: null,
    attempts: 1,
    seconds: 7,
    ...more,
  };
}
