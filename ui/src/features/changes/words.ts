/** A change and its devices in words. */
import type { Tone } from "../../components/tone";
import type { ChangeKind } from "../../generated/ChangeKind";
import type { ChangeState } from "../../generated/ChangeState";
import type { Outcome } from "../../generated/Outcome";
import { t, type MessageKey } from "../../messages";
import { list } from "../../messages/format";
import type { Mark, Row, RowState, Track } from "./track";

const CHANGE_TONES: Record<ChangeState, Tone> = {
  scheduled: "neutral",
  running: "busy",
  interrupted: "attention",
  changed: "good",
  "partly-changed": "attention",
  "rolled-back": "neutral",
  failed: "danger",
  cancelled: "neutral",
};

/** What a change's state means to who looks at it. */
export function changeTone(state: ChangeState): Tone {
  return CHANGE_TONES[state];
}

/** A change's state in plain words; without a kind as a filter names it. */
export function changeState(state: ChangeState, kind: ChangeKind = "rotate"): string {
  if (state === "changed") return t("changes.stateDone", { kind });
  if (state === "partly-changed") return t("changes.statePartly", { kind });
  return t("changes.state", { state: state.replace("-", "") });
}

const ROW_TONES: Record<RowState, Tone> = {
  waiting: "neutral",
  running: "busy",
  proven: "neutral",
  changed: "good",
  "old-key-accepted": "attention",
  unchanged: "neutral",
  "rolled-back": "neutral",
  "rolling-back": "busy",
  "not-proven": "attention",
  failed: "danger",
  "left-out": "neutral",
};

export function rowTone(row: Row): Tone {
  return row.state === "unchanged" && row.error !== null ? "danger" : ROW_TONES[row.state];
}

/** What the core said of the stage that a device is at; in the core's own words where it said no more. */
export function saidWords(row: Row): string {
  const { said } = row;
  if (said === null) return row.detail;
  switch (said.what) {
    case "found":
      return t("changes.saidFound", { lines: said.lines, files: said.files });
    case "added":
      return t("changes.saidAdded", { lines: said.lines });
    case "removed":
      return t("changes.saidRemoved", { lines: said.lines });
    default:
      return t(SAID[said.what]);
  }
}

const SAID = {
  connecting: "changes.saidConnecting",
  "out-already": "changes.saidOutAlready",
  adding: "changes.saidAdding",
  "logging-in": "changes.saidLoggingIn",
  "logged-in": "changes.saidLoggedIn",
  removing: "changes.saidRemoving",
  asking: "changes.saidAsking",
  "old-refused": "changes.saidOldRefused",
  refused: "changes.saidRefused",
} as const satisfies Record<string, MessageKey>;

/** What a device does or how it stands. */
export function rowWords(row: Row, kind: ChangeKind): string {
  switch (row.state) {
    case "waiting":
      return row.marks[0] === "done" ? t("changes.rowChecked") : t("changes.rowWaiting");
    case "running":
      return doing(row, kind);
    case "proven":
      return t("changes.rowProven", { kind });
    case "changed":
      return t("changes.rowChanged", { kind });
    case "old-key-accepted":
      return t("changes.rowOldKeyAccepted");
    case "unchanged":
      return t("changes.rowUnchanged", { kind });
    case "rolled-back":
      return t("changes.rowRolledBack");
    case "rolling-back":
      return t("changes.rowRollingBack");
    case "not-proven":
      return t("changes.rowNotProven");
    case "failed":
      return row.stage === null ? t("changes.rowFailed") : t("changes.rowFailedAt", { stage: row.stage });
    case "left-out":
      return t("changes.rowLeftOut");
  }
}

function doing(row: Row, kind: ChangeKind): string {
  switch (row.stage) {
    case "add":
      return t("changes.doingAdd", { kind });
    case "prove":
      return t("changes.doingProve", { kind });
    case "remove":
      return t("changes.doingRemove", { kind });
    case "refuse":
      return t("changes.doingRefuse", { kind });
    default:
      return t("changes.doingCheck");
  }
}

/** A stage with how it stands. The stages keep their English names in every language. */
export function markWords(stage: string, mark: Mark): string {
  switch (mark) {
    case "waiting":
      return t("changes.markWaiting", { stage });
    case "running":
      return t("changes.markRunning", { stage });
    case "done":
      return t("changes.markDone", { stage });
    case "failed":
      return t("changes.markFailed", { stage });
    case "unknown":
      return t("changes.markUnknown", { stage });
    case "skipped":
      return t("changes.markSkipped", { stage });
  }
}

/** How a change ended, with the numbers and the proof; never more than the devices' own ends say. */
export function endSentence(track: Track, outcome: Outcome): string {
  const all = track.rows.length;
  const done = track.rows.filter((row) => row.state === "changed").length;
  const values = { kind: track.kind, done, all };
  switch (outcome) {
    case "changed":
      return t("changes.endChanged", values);
    case "partly-changed":
      return t("changes.endPartly", values);
    case "interrupted":
      return t("changes.endInterrupted", values);
    case "rolled-back": {
      // A device that was left out, or failed before anything was written there, was not asked at the end.
      const proven = track.rows.filter((row) => row.state === "rolled-back").length;
      if (track.kind === "rotate" && proven < all) return t("changes.endRolledBackPart", { proven, all });
      return t("changes.endRolledBack", { kind: track.kind, all });
    }
    case "failed":
      return t("changes.endFailed", { kind: track.kind });
  }
}

const OUTCOME_TONES: Record<Outcome, Tone> = {
  changed: "good",
  "partly-changed": "attention",
  "rolled-back": "neutral",
  failed: "danger",
  interrupted: "attention",
};

export function outcomeTone(outcome: Outcome): Tone {
  return OUTCOME_TONES[outcome];
}

/** What is where, for a change that is not whole: how many devices are on which key. */
export function whereabouts(track: Track): string {
  const count = (...states: RowState[]) => track.rows.filter((row) => states.includes(row.state)).length;
  const { kind } = track;
  const changed = count("changed");
  const both = count("proven", "old-key-accepted");
  const before = count("waiting", "unchanged", "rolled-back", "left-out");
  const unknown = count("failed", "not-proven", "running", "rolling-back");
  return list(
    [
      changed > 0 ? t("changes.whereChanged", { kind, count: changed }) : null,
      both > 0 ? t("changes.whereBoth", { kind, count: both }) : null,
      before > 0 ? t("changes.whereBefore", { count: before }) : null,
      unknown > 0 ? t("changes.whereUnknown", { count: unknown }) : null,
    ].filter((part) => part !== null),
  );
}
