/** What the checks of a change's devices say together. Nothing here asks or draws. */
import type { DeviceFinding } from "../../generated/DeviceFinding";
import type { FileDiff } from "../../generated/FileDiff";
import type { OtherKey } from "../../generated/OtherKey";
import type { Report } from "../../generated/Report";

/** What was found on one device. */
export interface Found {
  id: number;
  ready: boolean;
  problems: readonly Report[];
  warnings: readonly Report[];
  files: readonly FileDiff[];
  /** The lines that let other keys in. */
  others: readonly OtherKey[];
}

/** A finding as it comes; nothing else looks into its shape. */
export function found(sent: DeviceFinding): Found {
  const { ready, problems, warnings, other_keys: others } = sent.finding;
  return { id: sent.device_id, ready, problems, warnings, files: sent.files, others };
}

/** A device that a change would go to. */
export interface Target {
  id: number;
  name: string;
  address: string;
}

/** One device with what its check found. */
export interface CheckedDevice extends Target {
  /** Its place in the order of change, from 1. */
  number: number;
  verdict: Verdict;
  found: Found | null;
}

export type Verdict = "checking" | "unchecked" | "ready" | "warning" | "problem" | "left-out";

/** The devices in the order of change: the original device first, then by ascending ID. */
export function inOrder<Device extends { id: number }>(devices: readonly Device[], original: number): Device[] {
  return [...devices].sort((a, b) => Number(b.id === original) - Number(a.id === original) || a.id - b.id);
}

/** The devices with their findings. */
export function checked(
  targets: readonly Target[],
  findings: ReadonlyMap<number, Found>,
  asked: ReadonlySet<number>,
  leftOut: ReadonlySet<number>,
): CheckedDevice[] {
  return targets.map((target, index) => {
    const known = findings.get(target.id) ?? null;
    const verdict = leftOut.has(target.id) ? "left-out" : verdictOf(known, asked.has(target.id));
    return { ...target, number: index + 1, verdict, found: known };
  });
}

function verdictOf(known: Found | null, asked: boolean): Verdict {
  if (asked) return "checking";
  if (known === null) return "unchecked";
  if (!known.ready) return "problem";
  return known.warnings.length > 0 ? "warning" : "ready";
}

/** The names of the devices that the change would go to and that nothing but this key lets anybody into. */
export function onlyKey(devices: readonly CheckedDevice[]): string[] {
  const warned = ({ verdict, found }: CheckedDevice) =>
    verdict !== "left-out" && (found?.warnings.some((warning) => warning.code === "only-key") ?? false);
  return devices.filter(warned).map((device) => device.name);
}

const RANK: Record<Verdict, number> = { problem: 0, unchecked: 1, warning: 2, checking: 3, ready: 3, "left-out": 3 };

/** What needs a look first, else in the order of change; while checks run nothing moves. */
export function problemsFirst(devices: readonly CheckedDevice[], running: boolean): readonly CheckedDevice[] {
  if (running) return devices;
  return [...devices].sort((a, b) => RANK[a.verdict] - RANK[b.verdict] || a.number - b.number);
}

export interface Tally {
  /** The devices that the change would go to. */
  taking: number;
  /** Those of them whose check has ended, and those whose check runs. */
  known: number;
  checking: number;
  notReady: readonly number[];
  warnings: number;
  leftOut: number;
}

export function tally(devices: readonly CheckedDevice[]): Tally {
  const taking = devices.filter((device) => device.verdict !== "left-out");
  return {
    taking: taking.length,
    known: taking.filter((device) => device.verdict !== "checking" && device.verdict !== "unchecked").length,
    checking: taking.filter((device) => device.verdict === "checking").length,
    notReady: taking.filter((device) => device.verdict === "problem").map((device) => device.id),
    warnings: taking.filter((device) => device.verdict === "warning").length,
    leftOut: devices.length - taking.length,
  };
}

export const HOST_KEY_CODES = new Set(["host-key-unknown", "host-key-changed"]);

/** The devices whose host keys must be looked at before anything else can be found out. */
export function hostKeyTrouble(devices: readonly CheckedDevice[]): number[] {
  const troubled = (device: CheckedDevice) =>
    device.found?.problems.some((problem) => HOST_KEY_CODES.has(problem.code)) ?? false;
  return devices.filter((device) => device.verdict === "problem" && troubled(device)).map((device) => device.id);
}
