import type { Backend } from "../../backend/backend";
import type { ChangeRequest } from "../../generated/ChangeRequest";
import type { DeviceFinding } from "../../generated/DeviceFinding";
import { found, type Found } from "./checks";
import { onFrame } from "./frame";

/** The checks of a change's devices, as they come in. */
export class Checks {
  findings = $state.raw<ReadonlyMap<number, Found>>(new Map());
  /** The devices whose answer is awaited. */
  asked = $state.raw<ReadonlySet<number>>(new Set());
  /** Why the devices can't be checked at all. */
  error = $state.raw<unknown>(null);

  #backend: Backend;
  /** Findings of an earlier request say nothing about this one. */
  #generation = 0;
  #runs = 0;
  /** Settles when the newest run has ended. */
  #newest: Promise<void> = Promise.resolve();
  #came: Found[] = [];
  #frame: (() => void) | null = null;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  get running(): boolean {
    return this.asked.size > 0;
  }

  /** Drops what was found, and checks all these devices; without a request nothing can be checked yet. */
  async restart(request: ChangeRequest | null, devices: readonly number[]): Promise<void> {
    const asks = request !== null && devices.length > 0;
    // A check that begins ends the one before; to ask for that, too, could end the new one.
    if (asks) this.#forget();
    else this.stop();
    this.findings = new Map();
    this.error = null;
    if (asks) await this.#begin(request, devices, null);
  }

  /** Checks some of the devices again, when what is under way has ended: only one check runs at a time. */
  async again(request: ChangeRequest, devices: readonly number[]): Promise<void> {
    const generation = this.#generation;
    this.error = null;
    this.asked = new Set([...this.asked, ...devices]);
    while (this.#runs > 0) await this.#newest;
    if (generation === this.#generation) await this.#begin(request, devices, [...devices]);
  }

  /** Ends what is under way; what was found stays. */
  stop() {
    this.#forget();
    if (this.#runs > 0) void this.#backend.stopCheck().catch(() => undefined);
  }

  /** Waits for no answer any more. */
  #forget() {
    this.#generation += 1;
    this.#frame?.();
    this.#frame = null;
    this.#came = [];
    this.asked = new Set();
  }

  #begin(request: ChangeRequest, devices: readonly number[], only: number[] | null): Promise<void> {
    this.#newest = this.#run(request, devices, only);
    return this.#newest;
  }

  async #run(request: ChangeRequest, devices: readonly number[], only: number[] | null): Promise<void> {
    const generation = this.#generation;
    this.asked = new Set([...this.asked, ...devices]);
    this.#runs += 1;
    try {
      await this.#backend.checkDevices({ ...request, leave_out: [] }, only, (sent) => this.#take(generation, sent));
    } catch (error) {
      if (generation === this.#generation) this.error = error;
    } finally {
      this.#runs -= 1;
      if (generation === this.#generation) {
        this.#flush();
        // A device without an answer when all is over was not looked at.
        const over = new Set(devices);
        this.asked = new Set([...this.asked].filter((device) => !over.has(device)));
      }
    }
  }

  #take(generation: number, sent: DeviceFinding) {
    if (generation !== this.#generation) return;
    this.#came.push(found(sent));
    this.#frame ??= onFrame(() => this.#flush());
  }

  #flush() {
    this.#frame?.();
    this.#frame = null;
    if (this.#came.length === 0) return;
    const findings = new Map(this.findings);
    const asked = new Set(this.asked);
    for (const one of this.#came) {
      findings.set(one.id, one);
      asked.delete(one.id);
    }
    this.#came = [];
    this.findings = findings;
    this.asked = asked;
  }
}
