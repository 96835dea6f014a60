/** The five steps of the first run. Each ticks itself: by what is there, not by what was pressed. */
import { href } from "../../app/router.svelte";
import type { ChangeView } from "../../generated/ChangeView";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { DeviceRow } from "../../generated/DeviceRow";

export const STEPS = ["devices", "hostKeys", "credential", "check", "change"] as const;

export type StepName = (typeof STEPS)[number];

/** A step, and where it is taken. */
export interface FirstStep {
  name: StepName;
  state: "done" | "current" | "later";
  href: string;
}

/** Whether a key was changed on devices: from then on the steps are not shown. */
export function pastFirstRun(changes: readonly ChangeView[]): boolean {
  return changes.some(
    (change) => change.kind === "rotate" && (change.state === "changed" || change.state === "partly-changed"),
  );
}

/** The steps; the first that is not done is the current one. */
export function firstSteps(
  devices: readonly DeviceRow[],
  credentials: readonly CredentialRow[],
  changes: readonly ChangeView[],
): FirstStep[] {
  const keys = credentials.filter((credential) => credential.kind === "ssh-key");
  const ready = keys.find((credential) => credential.state !== "not-ready" && credential.state !== "disabled");
  const next = ready ?? keys[0];
  const done: Record<StepName, boolean> = {
    devices: devices.length > 0,
    // One is enough: a host that can't be reached must not hold up the rest.
    hostKeys: devices.some((device) => device.host_key_state !== "none"),
    credential: keys.length > 0,
    check: ready !== undefined,
    change: pastFirstRun(changes),
  };
  const places: Record<StepName, string> = {
    devices: href("devices", null, "new"),
    hostKeys: href("devices", null, "scan", { ids: "all" }),
    credential: href("credentials", null, "new"),
    check: next === undefined ? href("credentials") : href("credentials", next.id),
    change: next === undefined ? href("credentials") : href("credentials", next.id, "change"),
  };
  const current = STEPS.find((name) => !done[name]);
  return STEPS.map((name) => ({
    name,
    state: done[name] ? "done" : name === current ? "current" : "later",
    href: places[name],
  }));
}

/** The devices that would be connected to and have no host key that is trusted. */
export function unpinned(devices: readonly DeviceRow[]): DeviceRow[] {
  return devices.filter((device) => device.enabled && device.host_key_state === "none");
}
