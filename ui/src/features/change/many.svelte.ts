import type { Backend } from "../../backend/backend";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { Report } from "../../generated/Report";
import { Checks } from "./checks.svelte";
import { preset, requestOf } from "./choices";

/** One of several credentials before their changes. */
export interface Candidate {
  row: CredentialRow;
  state: "waiting" | "checking" | "ready" | "not-ready";
  /** The devices whose answer came, and those that are ready. */
  known: number;
  ready: number;
  /** The first problem of any device. */
  problem: Report | null;
  /** Why its devices could not be checked. */
  error: unknown;
}

/** Checks the devices of several credentials, one credential after the other. */
export class Many {
  #rows: readonly CredentialRow[] = $state.raw([]);
  #checks: ReadonlyMap<number, Checks> = $state.raw(new Map());
  #over: ReadonlySet<number> = $state.raw(new Set());
  #run = 0;
  #backend: Backend;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  readonly candidates = $derived(this.#rows.map((row) => this.#candidate(row)));

  async start(rows: readonly CredentialRow[]): Promise<void> {
    this.stop();
    const run = this.#run;
    this.#rows = rows;
    this.#checks = new Map(rows.map((row) => [row.id, new Checks(this.#backend)]));
    this.#over = new Set();
    for (const row of rows) {
      const request = row.kind === "ssh-key" ? requestOf("rotate", row.id, preset(row), []) : null;
      await this.#checks.get(row.id)?.restart(request, row.device_ids);
      if (run !== this.#run) return;
      this.#over = new Set([...this.#over, row.id]);
    }
  }

  stop() {
    this.#run += 1;
    for (const checks of this.#checks.values()) checks.stop();
  }

  #candidate(row: CredentialRow): Candidate {
    const checks = this.#checks.get(row.id);
    const findings = [...(checks?.findings.values() ?? [])];
    const ready = findings.filter((found) => found.ready).length;
    const problem = findings.find((found) => !found.ready)?.problems[0] ?? null;
    const error = checks?.error ?? null;
    const base = { row, known: findings.length, ready, problem, error };
    if (!this.#over.has(row.id)) return { ...base, state: checks?.running === true ? "checking" : "waiting" };
    const whole = error === null && row.device_ids.length > 0 && ready === row.device_ids.length;
    return { ...base, state: whole ? "ready" : "not-ready" };
  }
}
