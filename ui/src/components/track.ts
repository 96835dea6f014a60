export type TrackState = "waiting" | "running" | "done" | "failed" | "unknown" | "skipped";

export interface TrackStage {
  name: string;
  state: TrackState;
  /** The state in words. */
  label: string;
}
