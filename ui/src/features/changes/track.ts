/**
 * What a change's page shows of each device, folded from the records and the events. Nothing here asks or draws.
 *
 * The events of a run tell every stage; the records tell where a device stood when they were written. So the rows begin
 * with the records, and the events, also those that the records have in them already, are laid over them.
 */
import type { ChangeKind } from "../../generated/ChangeKind";
import type { ChangePage } from "../../generated/ChangePage";
import type { ChangeState } from "../../generated/ChangeState";
import type { DeviceEnd } from "../../generated/DeviceEnd";
import type { DeviceRecordView } from "../../generated/DeviceRecordView";
import type { DeviceState } from "../../generated/DeviceState";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";
import type { Report } from "../../generated/Report";
import type { Said } from "../../generated/Said";
import type { Stage } from "../../generated/Stage";
import type { StageState } from "../../generated/StageState";
import type { Strategy } from "../../generated/Strategy";

/** How one stage of one device stands. */
export type Mark = "waiting" | "running" | "done" | "failed" | "unknown" | "skipped";

/** How one device stands: the core's states, and the two that only a page tells apart. */
export type RowState = DeviceState | "left-out" | "rolling-back";

/** One device of a change. */
export interface Row {
  id: number;
  /** Its place in the order of change, from 1. */
  number: number;
  name: string;
  address: string;
  state: RowState;
  /** One for each stage of this kind of change, in their order. */
  marks: readonly Mark[];
  /** The stage that runs, or at which it failed. */
  stage: Stage | null;
  /** What the core says of that stage. */
  detail: string;
  /** The same for another language; null where it is not known. */
  said: Said | null;
  error: Report | null;
  /** The keys that it was last seen to accept. */
  accepts: readonly string[];
  /** When it was last heard of. */
  at: string;
  /** The milliseconds that its stages took so far. */
  worked: number;
  /** When the stage that runs began. */
  since: string | null;
}

/** A change as its page shows it. */
export interface Track {
  kind: ChangeKind;
  strategy: Strategy;
  stages: readonly Stage[];
  rows: readonly Row[];
  /** How it ended, once that was heard. */
  outcome: Outcome | null;
  /** How long the last run took. */
  seconds: number | null;
  /** When the last run began. */
  began: string | null;
  /** When the first file of the last run was about to be written. */
  writing: string | null;
}

const STAGES: Record<ChangeKind, readonly Stage[]> = {
  rotate: ["check", "add", "prove", "remove", "refuse"],
  undo: ["check", "add", "prove", "remove", "refuse"],
  install: ["check", "add", "prove"],
  uninstall: ["check", "remove", "refuse"],
};

/** The stages that a kind of change has. */
export function stagesOf(kind: ChangeKind): readonly Stage[] {
  return STAGES[kind];
}

/** What is known without any event. */
export function begin(page: ChangePage): Track {
  const stages = STAGES[page.change.kind];
  return {
    kind: page.change.kind,
    strategy: page.change.strategy,
    stages,
    rows: page.records.map((record, index) => rowOf(record, index, stages)),
    outcome: outcomeOf(page.change.state),
    seconds: page.change.seconds,
    began: page.change.started,
    writing: null,
  };
}

/** The page with its events, and those that were heard since. */
export function fold(page: ChangePage, since: readonly Event[] = []): Track {
  const events = tellsOfNow(page) ? [...page.events, ...since] : since;
  return withCauses(advance(begin(page), events), page.records);
}

/** Whether the events are those of the last run: another program may have gone on with the change after this one. */
function tellsOfNow(page: ChangePage): boolean {
  if (page.change.state === "running") return page.here;
  const last = page.events.filter((event) => event.event === "finished").at(-1);
  return last !== undefined && last.outcome === page.change.state;
}

/** Lays events over a track. */
export function advance(track: Track, events: readonly Event[]): Track {
  if (events.length === 0) return track;
  const next = { ...track, rows: [...track.rows] };
  const places = new Map(track.rows.map((row, index) => [row.name, index]));
  const change = (device: string, by: (row: Row) => Row) => {
    const index = places.get(device);
    const row = index === undefined ? undefined : next.rows[index];
    if (index !== undefined && row !== undefined) next.rows[index] = by(row);
  };
  for (const event of events) {
    switch (event.event) {
      case "started":
        next.outcome = null;
        next.seconds = null;
        next.began = event.at;
        next.writing = null;
        next.rows = next.rows.map(restarted);
        break;
      case "stage":
        if (event.state === "running" && event.stage !== "check") next.writing ??= event.at;
        change(event.device, (row) => staged(row, event, track.stages));
        break;
      case "rolled-back":
        change(event.device, (row) => turnedBack(row, event.state, event.at));
        break;
      case "finished":
        next.outcome = event.outcome;
        next.seconds = event.seconds;
        for (const end of event.devices) change(end.device, (row) => ended(row, end, track.stages, event.at));
        break;
      case "plan":
      case "other-keys":
        break;
    }
  }
  return next;
}

/** Gives rows that went wrong the causes that the records name, where no event named one. */
export function withCauses(track: Track, records: readonly DeviceRecordView[]): Track {
  const causes = new Map(records.map((record) => [record.device_id, record.error]));
  const rows = track.rows.map((row) => {
    const cause = causes.get(row.id) ?? null;
    return isException(row) && row.error === null && cause !== null ? { ...row, error: cause } : row;
  });
  return { ...track, rows };
}

/** Whether a device is where this change wanted it. */
export function isThrough(row: Row): boolean {
  return row.state === "changed";
}

/** Whether a device needs somebody's look. */
export function isException(row: Row): boolean {
  switch (row.state) {
    case "failed":
    case "not-proven":
    case "old-key-accepted":
    case "left-out":
      return true;
    case "unchanged":
    case "rolled-back":
    case "proven":
      return row.error !== null;
    default:
      return false;
  }
}

function outcomeOf(state: ChangeState): Outcome | null {
  switch (state) {
    case "scheduled":
    case "running":
    case "cancelled":
      return null;
    default:
      return state;
  }
}

function rowOf(record: DeviceRecordView, index: number, stages: readonly Stage[]): Row {
  const state = stateOf(record.state, record.error);
  return {
    id: record.device_id,
    number: index + 1,
    name: record.device,
    address: record.address,
    state,
    marks: marksOf(state, record.stage, stages),
    stage: record.stage,
    detail: "",
    said: null,
    error: record.error,
    accepts: record.accepts,
    at: record.at,
    worked: 0,
    since: null,
  };
}

function stateOf(state: DeviceState, error: Report | null): RowState {
  return state === "unchanged" && error?.code === "left-out" ? "left-out" : state;
}

/** The track of a device of which only the end is known. */
function marksOf(state: RowState, stage: Stage | null, stages: readonly Stage[]): Mark[] {
  const at = stage === null ? -1 : stages.indexOf(stage);
  const upTo = (mark: Mark) => stages.map((_, index): Mark => (index < at ? "done" : index === at ? mark : "waiting"));
  switch (state) {
    case "running":
      return upTo("running");
    case "failed":
      return upTo("failed");
    case "not-proven":
      return upTo("unknown");
    case "unchanged":
      return upTo(at < 0 ? "waiting" : "failed");
    case "proven":
      return stages.map((name) => (name === "check" || name === "add" || name === "prove" ? "done" : "waiting"));
    case "changed":
      return stages.map(() => "done");
    case "old-key-accepted":
      return stages.map((_, index) => (index === stages.length - 1 ? "failed" : "done"));
    case "left-out":
    case "rolled-back":
      return stages.map(() => "skipped");
    case "waiting":
    case "rolling-back":
      return stages.map(() => "waiting");
  }
}

/** A device at the beginning of a run: what is through stays, the rest is gone about again. */
function restarted(row: Row): Row {
  if (row.state === "changed" || row.state === "left-out") return row;
  const kept = row.marks.map((mark): Mark => (mark === "done" ? "done" : "waiting"));
  return { ...row, state: "waiting", marks: kept, stage: null, detail: "", said: null, error: null, since: null, worked: 0 };
}

function staged(row: Row, event: Extract<Event, { event: "stage" }>, stages: readonly Stage[]): Row {
  const at = stages.indexOf(event.stage);
  if (at < 0) return row;
  const marks = row.marks.map((mark, index): Mark => {
    if (index === at) return event.state;
    // Nobody comes to a stage but through those before it.
    if (index < at) return "done";
    // A check looks at what stands there and undoes nothing of it.
    return event.stage === "check" && mark === "done" ? mark : "waiting";
  });
  const runs = event.state === "running";
  const took = row.since === null ? 0 : Math.max(0, Date.parse(event.at) - Date.parse(row.since));
  return {
    ...row,
    state: stateAfter(event.stage, event.state, marks, stages),
    marks,
    stage: event.stage,
    detail: event.detail,
    said: event.said ?? null,
    error: event.error ?? null,
    at: event.at,
    since: runs ? event.at : null,
    worked: row.worked + took,
  };
}

function stateAfter(stage: Stage, state: StageState, marks: readonly Mark[], stages: readonly Stage[]): RowState {
  if (state === "running") return "running";
  if (state === "failed") return "failed";
  if (state === "unknown") return "not-proven";
  if (stage === stages.at(-1)) return "changed";
  if (stage === "prove") return "proven";
  // After a check nothing runs until the device's turn comes; after a write its proof follows at once.
  if (stage === "check") return marks[stages.indexOf("prove")] === "done" ? "proven" : "waiting";
  return "running";
}

function turnedBack(row: Row, state: StageState, at: string): Row {
  const took = row.since === null ? 0 : Math.max(0, Date.parse(at) - Date.parse(row.since));
  const common = { ...row, at, worked: row.worked + took, since: null };
  switch (state) {
    case "running":
      return { ...common, state: "rolling-back", since: at };
    case "done":
      return { ...common, state: "rolled-back", marks: row.marks.map(() => "skipped") };
    case "failed":
      return { ...common, state: "failed" };
    case "unknown":
      return { ...common, state: "not-proven" };
  }
}

function ended(row: Row, end: DeviceEnd, stages: readonly Stage[], at: string): Row {
  const state = stateOf(end.state, end.error);
  const still = row.state === state && !row.marks.includes("running");
  const known = state === "failed" || state === "not-proven" || state === "unchanged" || state === "waiting";
  const marks = still || known ? stopped(row.marks, state) : marksOf(state, row.stage, stages);
  return { ...row, state, marks, error: end.error, accepts: end.accepts, at: row.since === null ? row.at : at, since: null };
}

/** What still ran at the end has no result. */
function stopped(marks: readonly Mark[], state: RowState): Mark[] {
  return marks.map((mark) => (mark === "running" ? (state === "waiting" ? "waiting" : "unknown") : mark));
}
