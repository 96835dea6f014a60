/** How far a change is, and what that says of the time it still needs. */
import { isThrough, type Row, type Track } from "./track";

/** What a run is doing now. */
export type Phase = "checking" | "adding" | "removing" | "changing" | "rolling-back" | "ending";

export interface Pace {
  phase: Phase;
  /** The devices that are through with this phase, of those that take part. */
  through: number;
  all: number;
  /** From 0 to 1, over all phases. */
  share: number;
  /** The seconds that are left, or null while too little is known to say it. */
  left: number | null;
}

/** Devices that must be through with a phase before an estimate is more than a guess. */
const ENOUGH = 3;

/** The pace at a time. */
export function pace(track: Track, now: number): Pace {
  const parts = track.rows.filter((row) => row.state !== "left-out");
  if (parts.some((row) => row.state === "rolling-back")) return pacedBack(parts);

  const steps = track.stages.length * parts.length;
  const done = parts.reduce((sum, row) => sum + stepsDone(row), 0);
  const share = steps === 0 ? 0 : done / steps;
  const common = { all: parts.length, share };
  const checked = count(parts, (row) => row.marks[0] === "done" || isSettled(row));
  if (track.writing === null && checked < parts.length) {
    return { ...common, phase: "checking", through: checked, left: null };
  }

  // Each device comes twice in a key change: proven on the new key, and refusing the old one.
  const halves = track.stages.flatMap((stage, index) => (stage === "prove" || stage === "refuse" ? [index] : []));
  const passed = (rows: readonly Row[], half: number) => count(rows, (row) => row.marks[half] === "done" || isSettled(row));
  const through = halves.map((half) => passed(parts, half));
  const place = through.findIndex((each) => each < parts.length);
  const left = parts.length * halves.length - sum(through);
  // What an earlier run did cost this one nothing, and must not make it look fast.
  const worked = parts.filter((row) => row.worked > 0);
  const here = sum(halves.map((half) => passed(worked, half)));
  const took = track.writing === null ? 0 : (now - Date.parse(track.writing)) / 1000;
  const known = here >= ENOUGH && took > 0 && left > 0;
  if (place < 0) return { ...common, phase: "ending", through: parts.length, left: null };
  const inTurn = track.strategy !== "two-phase" && halves.length > 1;
  return {
    ...common,
    phase: inTurn ? "changing" : track.stages[halves[place] ?? 0] === "prove" ? "adding" : "removing",
    through: (inTurn ? through.at(-1) : through[place]) ?? 0,
    left: known ? (took / here) * left : null,
  };
}

function pacedBack(parts: readonly Row[]): Pace {
  const back = count(parts, (row) => row.state === "rolled-back");
  const still = count(parts, (row) => row.state === "rolling-back" || row.state === "proven" || isThrough(row));
  const all = back + still;
  return { phase: "rolling-back", through: back, all, share: all === 0 ? 0 : back / all, left: null };
}

/** Nothing more is done there in this run, though it is not through. */
function isSettled(row: Row): boolean {
  if (row.since !== null) return false;
  switch (row.state) {
    case "failed":
    case "not-proven":
    case "old-key-accepted":
    case "rolled-back":
    case "unchanged":
      return true;
    default:
      return false;
  }
}

function stepsDone(row: Row): number {
  return isSettled(row) ? row.marks.length : row.marks.filter((mark) => mark === "done").length;
}

function count(rows: readonly Row[], wanted: (row: Row) => boolean): number {
  return rows.reduce((total, row) => total + (wanted(row) ? 1 : 0), 0);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
