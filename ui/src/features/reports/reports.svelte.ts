import type { Backend } from "../../backend/backend";
import type { FleetFormat } from "../../generated/FleetFormat";
import type { ProofFormat } from "../../generated/ProofFormat";
import type { ProofVerified } from "../../generated/ProofVerified";
import type { ReportWritten } from "../../generated/ReportWritten";

/** What is done at the moment. */
export type ReportTask = "fleet" | "proof" | "verify";

/** A report that was written; a proof with the number of its change. */
export interface Written {
  change: number | null;
  file: ReportWritten;
}

/** Reports that are written or verified, one at a time, and what the last of them came to. */
export class Reports {
  busy = $state<ReportTask | null>(null);
  written = $state.raw<Written | null>(null);
  verified = $state.raw<ProofVerified | null>(null);
  error = $state.raw<unknown>(null);

  #backend: Backend;
  #done: () => void;
  #ended = false;

  constructor(backend: Backend, done: () => void = () => undefined) {
    this.#backend = backend;
    this.#done = done;
  }

  fleet(format: FleetFormat): Promise<void> {
    return this.#run("fleet", async () => {
      const file = await this.#backend.writeFleetReport(format);
      return () => (this.written = file === null ? null : { change: null, file });
    });
  }

  proof(change: number, format: ProofFormat): Promise<void> {
    return this.#run("proof", async () => {
      const file = await this.#backend.writeProof(change, format);
      return () => (this.written = file === null ? null : { change, file });
    });
  }

  verify(): Promise<void> {
    return this.#run("verify", async () => {
      const verified = await this.#backend.verifyProof();
      return () => (this.verified = verified);
    });
  }

  /** Says nothing more. */
  end() {
    this.#ended = true;
  }

  async #run(task: ReportTask, work: () => Promise<() => unknown>): Promise<void> {
    if (this.busy !== null) return;
    this.busy = task;
    this.written = this.verified = this.error = null;
    try {
      const say = await work();
      if (this.#ended) return;
      say();
    } catch (error) {
      this.error = error;
    }
    this.busy = null;
    if (!this.#ended) this.#done();
  }
}
