/** What "Change key now" says of the choices and the checks. */
import type { Tone } from "../../components/tone";
import { t } from "../../messages";
import { list, minute } from "../../messages/format";
import { changeState, changeTone } from "../changes/words";
import type { Tally } from "./checks";
import { atOnce, type Choices, type PageKind } from "./choices";
import type { DiffGroup } from "./diffs";
import { momentOf } from "./moments";
import type { Candidate } from "./many.svelte";
import type { Entry } from "./queue.svelte";

/** Equal diffs as one: "11 devices: 1 line, same options; 1 differs". */
export function diffWords(groups: readonly DiffGroup[]): string {
  const [first, ...others] = groups;
  if (first === undefined) return "";
  const { options, lines, devices } = first;
  const most = t("change.diffsLine", { count: devices.length, lines, options: options === "various" ? "different" : options });
  const count = others.reduce((sum, group) => sum + group.devices.length, 0);
  return count === 0 ? most : `${most}; ${t("change.diffsDiffer", { count })}`;
}

/** As many names as are read in one line. */
const NAMED = 5;

/** On which devices this key is the only way in; null where there is another everywhere. */
export function lastDoorWords(devices: readonly string[]): string | null {
  if (devices.length === 0) return null;
  const left = devices.length - NAMED;
  const named = left > 0 ? devices.slice(0, NAMED).join(", ") : list(devices);
  const names = left > 0 ? t("change.onlyKeyMore", { names: named, count: left }) : named;
  return t("change.onlyKey", { count: devices.length, names });
}

export interface Standing {
  kind: PageKind;
  choices: Choices;
  counts: Tally;
  /** Whether the devices could not be checked at all. */
  failed: boolean;
  /** The original device's name, if it is what is not ready. */
  original: string | null;
  now: Date;
}

/** Why a change can't begin yet; null when it can. */
export function reasonOf({ kind, choices, counts, failed, original, now }: Standing): string | null {
  if (kind === "install" && choices.connectWith === null) return t("change.reasonConnect");
  if (kind !== "install" && atOnce(choices.atOnce) === null) return t("change.reasonAtOnce");
  // What is ready now says little of then: every device is checked when it begins.
  if (kind === "rotate" && choices.at !== null) return momentOf(choices.at, now).at === null ? t("change.reasonAt") : null;
  if (failed) return t("change.reasonError");
  if (counts.checking > 0) {
    const running = t("change.reasonChecking", { known: counts.known, all: counts.taking });
    if (counts.notReady.length === 0) return running;
    return `${running} ${t("change.reasonNotReady", { count: counts.notReady.length })}`;
  }
  if (original !== null) return t("change.reasonOriginal", { device: original });
  if (counts.notReady.length > 0) return t("change.reasonNotReady", { count: counts.notReady.length });
  const unchecked = counts.taking - counts.known;
  return unchecked > 0 ? t("change.reasonUnchecked", { count: unchecked }) : null;
}

/** What the checks of one of several credentials say. */
export function candidateWords(one: Candidate): string {
  const all = one.row.device_ids.length;
  switch (one.state) {
    case "waiting":
      return t("change.manyWaitsCheck");
    case "checking":
      return t("change.manyChecking", { known: one.known, all });
    default:
      return t("change.manyDevices", { ready: one.ready, all });
  }
}

export function candidateTone(one: Candidate): Tone {
  const tones: Record<Candidate["state"], Tone> = {
    waiting: "neutral",
    checking: "busy",
    ready: "good",
    "not-ready": "danger",
  };
  return tones[one.state];
}

/** How one of several changes stands. */
export function entryWords(entry: Entry): string {
  switch (entry.state) {
    case "waiting":
      return t("change.manyWaits");
    case "running":
      return changeState("running");
    case "scheduled":
      return t("change.manyScheduled", { time: minute(entry.at ?? "") });
    case "not-begun":
      return t("change.manyNotBegun");
    case "ended":
      return entry.outcome === null ? t("change.manyNotBegun") : changeState(entry.outcome);
  }
}

export function entryTone(entry: Entry): Tone {
  if (entry.state === "running") return "busy";
  if (entry.state === "not-begun" && entry.error !== null) return "danger";
  if (entry.state !== "ended") return "neutral";
  return entry.outcome === null ? "danger" : changeTone(entry.outcome);
}
