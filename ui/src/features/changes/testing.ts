/** Pages and events of changes, for the tests of this folder and its neighbours. */
import type { ChangeKind } from "../../generated/ChangeKind";
import type { ChangePage } from "../../generated/ChangePage";
import type { ChangeState } from "../../generated/ChangeState";
import type { ChangeView } from "../../generated/ChangeView";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { DeviceRecordView } from "../../generated/DeviceRecordView";
import type { DeviceState } from "../../generated/DeviceState";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";
import type { Report } from "../../generated/Report";
import type { Stage } from "../../generated/Stage";
import type { StageState } from "../../generated/StageState";

export const START = Date.parse("2026-11-24T12:00:00Z");

export const OLD = "SHA256:old";
export const NEW = "SHA256:new";

/** The time so many seconds after the beginning. */
export function at(seconds: number): string {
  return new Date(START + seconds * 1000).toISOString();
}

export function report(code: string, message = `${code} happened.`): Report {
  return { code, message, hint: `Do something about ${code}.`, subject: null };
}

/** A report of the core's as it comes: with what other languages fill their sentences with. */
export const unreachable: Report = {
  code: "unreachable",
  message: "The device \"web-2\" can't be reached at 10.0.0.2:22: No route to host.",
  hint: "Check the address, the network and the device's power, then try again.",
  subject: "web-2",
  arguments: { device: "web-2", address: "10.0.0.2:22", source: "No route to host" },
};

/** The same in Portuguese. */
export const unreachableInPortuguese = {
  message: "Não é possível chegar ao dispositivo “web-2” em 10.0.0.2:22: No route to host.",
  hint: "Verifique o endereço, a rede e se o dispositivo está ligado, e tente novamente.",
};

export function view(more: Partial<ChangeView> = {}): ChangeView {
  return {
    id: 7,
    credential: "deploy",
    credential_id: 3,
    kind: "rotate",
    state: "running",
    strategy: "two-phase",
    on_failure: "roll-back",
    requested_by: "ana@desk",
    started: at(0),
    ended: null,
    devices_done: 0,
    devices: 3,
    reason: "request",
    scheduled_for: null,
    series: null,
    attempt: null,
    attempts: 1,
    seconds: null,
    ...more,
  };
}

export function record(number: number, state: DeviceState, more: Partial<DeviceRecordView> = {}): DeviceRecordView {
  return {
    device: `web-${number}`,
    device_id: number * 10,
    address: `10.0.0.${number}`,
    state,
    stage: null,
    accepts: [],
    error: null,
    at: at(0),
    given_up: false,
    other_keys: null,
    ...more,
  };
}

/** A page with as many devices as there are states. */
export function page(states: readonly DeviceState[], more: Partial<ChangePage> & { kind?: ChangeKind; state?: ChangeState } = {}): ChangePage {
  const { kind = "rotate", state = "running", ...rest } = more;
  return {
    change: view({ kind, state, devices: states.length }),
    old_fingerprint: OLD,
    new_fingerprint: NEW,
    records: states.map((each, index) => record(index + 1, each)),
    error: null,
    possible: [],
    undo_until: null,
    imported_from: null,
    program: null,
    here: true,
    events: [],
    ...rest,
  };
}

export function started(seconds = 0, devices = 3): Event {
  return {
    change: 7,
    at: at(seconds),
    event: "started",
    credential: "deploy",
    devices: Array.from({ length: devices }, (_, index) => `web-${index + 1}`),
    strategy: "two-phase",
    new_fingerprint: NEW,
    old_fingerprint: OLD,
    kind: "rotate",
  };
}

export function stage(number: number, name: Stage, state: StageState, seconds = 0, detail = ""): Event {
  return { change: 7, at: at(seconds), event: "stage", device: `web-${number}`, stage: name, state, detail };
}

export function rolledBack(number: number, state: StageState, seconds = 0): Event {
  return { change: 7, at: at(seconds), event: "rolled-back", device: `web-${number}`, state };
}

export function finished(outcome: Outcome, ends: readonly [DeviceState, Report?][], seconds = 0): Event {
  return {
    change: 7,
    at: at(seconds),
    event: "finished",
    outcome,
    seconds,
    devices: ends.map(([state, error], index) => ({
      device: `web-${index + 1}`,
      state,
      accepts: state === "changed" ? [NEW] : [OLD],
      error: error ?? null,
    })),
  };
}

/** A device that goes through these stages, a second each. */
export function through(number: number, stages: readonly Stage[], from: number): Event[] {
  return stages.flatMap((name, index) => [
    stage(number, name, "running", from + index),
    stage(number, name, "done", from + index + 1),
  ]);
}

export function credential(more: Partial<CredentialRow> = {}): CredentialRow {
  return {
    id: 3,
    name: "deploy",
    kind: "ssh-key",
    username: "deploy",
    owner: null,
    original_device: "web-1",
    devices: ["web-1", "web-2", "web-3"],
    tags: [],
    algorithm: "ed25519",
    fingerprint: OLD,
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
    state: "up-to-date",
    key_created: at(0),
    owner_id: null,
    original_device_id: 10,
    device_ids: [10, 20, 30],
    auth_with_id: null,
    policy_id: 1,
    ...more,
  };
}
