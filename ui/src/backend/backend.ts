import type { About } from "../generated/About";
import type { Report } from "../generated/Report";

/**
 * The one door to Rust. Screens know this interface only, so that their tests put a fake behind it.
 *
 * A call that fails rejects with a `BackendError`.
 */
export interface Backend {
  /** What this program is. */
  about(): Promise<About>;
}

/** An error as the core explains it: what happened, and what to do next. */
export class BackendError extends Error {
  readonly report: Report;

  constructor(report: Report) {
    super(report.message);
    this.name = "BackendError";
    this.report = report;
  }
}
