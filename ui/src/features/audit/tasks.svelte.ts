import type { Backend } from "../../backend/backend";
import type { Exported } from "../../generated/Exported";
import type { Verdict } from "../../generated/Verdict";

/** What is done with the whole audit: its chain verified, or all of it written to a file; one at a time. */
export class Tasks {
  busy = $state<"verify" | "export" | null>(null);
  /** What the last of them said. */
  verdict = $state.raw<Verdict | null>(null);
  exported = $state.raw<Exported | null>(null);
  error = $state.raw<unknown>(null);

  #backend: Backend;
  #done: () => void;
  #ended = false;

  constructor(backend: Backend, done: () => void) {
    this.#backend = backend;
    this.#done = done;
  }

  verify(): Promise<void> {
    return this.#run("verify", async () => {
      const verdict = await this.#backend.verifyAudit();
      return () => (this.verdict = verdict);
    });
  }

  export(format: "csv" | "json"): Promise<void> {
    return this.#run("export", async () => {
      const exported = await this.#backend.exportAudit(format);
      return () => (this.exported = exported);
    });
  }

  /** Says nothing more. */
  end() {
    this.#ended = true;
  }

  async #run(task: "verify" | "export", work: () => Promise<() => unknown>): Promise<void> {
    if (this.busy !== null) return;
    this.busy = task;
    this.verdict = this.exported = this.error = null;
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
