import type { Backend } from "../../backend/backend";
import type { Scanned } from "../../generated/Scanned";

/** How long answers are gathered before they are shown, in milliseconds: a thousand devices are no thousand drawings. */
const GATHER = 100;

/** A scan of host keys: which devices are asked, and what they have answered so far. */
export class Scan {
  /** The answers, in the order in which they came. */
  answers = $state.raw<readonly Scanned[]>([]);
  /** How many devices are asked. */
  asked = $state(0);
  running = $state(false);
  /** Whether it was, or is being, stopped. */
  stopped = $state(false);
  error = $state.raw<unknown>(null);
  #backend: Backend;
  #gathered: Scanned[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Asks the devices; what an earlier scan found is gone. */
  async start(ids: readonly number[]): Promise<void> {
    if (this.running || ids.length === 0) return;
    this.answers = [];
    this.asked = ids.length;
    this.error = null;
    this.stopped = false;
    this.running = true;
    try {
      await this.#backend.scanDevices([...ids], (answer) => this.#take(answer));
    } catch (error) {
      this.error = error;
    } finally {
      this.#show();
      this.running = false;
    }
  }

  /** Asks no further device. */
  async stop(): Promise<void> {
    if (!this.running || this.stopped) return;
    this.stopped = true;
    try {
      await this.#backend.stopScan();
    } catch (error) {
      this.error = error;
      this.stopped = false;
    }
  }

  /** Whoever looked is gone. */
  end() {
    void this.stop();
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #take(answer: Scanned) {
    this.#gathered.push(answer);
    this.#timer ??= setTimeout(() => this.#show(), GATHER);
  }

  #show() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#ended && this.#gathered.length > 0) this.answers = [...this.answers, ...this.#gathered];
    this.#gathered = [];
  }
}
