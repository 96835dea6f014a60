/** Devices for tests. */
import type { DeviceRow } from "../../generated/DeviceRow";

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
