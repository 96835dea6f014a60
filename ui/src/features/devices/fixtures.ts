/** What tests are about. */
import type { CredentialRow } from "../../generated/CredentialRow";
import type { DeviceRow } from "../../generated/DeviceRow";
import type { OfferedKeyView } from "../../generated/OfferedKeyView";
import type { Report } from "../../generated/Report";
import type { Scanned } from "../../generated/Scanned";

/** A device with what the test names, and nothing remarkable else. */
export function deviceRow(id: number, given: Partial<DeviceRow> = {}): DeviceRow {
  return {
    id,
    name: `web-${id}`,
    address: `192.0.2.${id % 250}`,
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
    host_key_state: "none",
    last_seen: null,
    changed_host_key: null,
    ...given,
  };
}

/** A credential on some devices. */
export function credentialRow(id: number, given: Partial<CredentialRow> = {}): CredentialRow {
  return {
    id,
    name: `key-${id}`,
    kind: "ssh-key",
    username: "deploy",
    owner: null,
    original_device: "web-1",
    devices: [],
    tags: [],
    algorithm: "ed25519",
    fingerprint: null,
    public_key: null,
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
    state: "up-to-date",
    key_created: null,
    owner_id: null,
    original_device_id: 1,
    device_ids: [],
    auth_with_id: null,
    policy_id: 1,
    ...given,
  };
}

/** A host key that a device offers. */
export function offeredKey(device: number, fingerprint: string, given: Partial<OfferedKeyView> = {}): OfferedKeyView {
  return {
    device_id: device,
    device: `web-${device}`,
    algorithm: "ssh-ed25519",
    fingerprint: `SHA256:${fingerprint}`,
    state: "new",
    instead_of: [],
    randomart: "+--[ED25519 256]--+",
    matches_known_hosts: false,
    ...given,
  };
}

/** What a device answers to a scan. */
export function answer(device: number, keys: OfferedKeyView[], error: Report | null = null): Scanned {
  return { device_id: device, device: `web-${device}`, keys, error };
}

/** An error of the core. */
export function report(given: Partial<Report> = {}): Report {
  return { code: "a-code", message: "It did not work.", hint: "Do something else.", subject: null, ...given };
}
