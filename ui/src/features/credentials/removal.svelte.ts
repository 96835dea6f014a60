import { notices } from "../../app/notices.svelte";
import type { Backend } from "../../backend/backend";
import type { ChangeState } from "../../generated/ChangeState";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";
import { asStored } from "./check.svelte";

/** What becomes of the public key where a credential is deleted. */
export type Fate = "remove" | "leave" | "nowhere";

/** "Delete": first the public key's removal from the devices, if that is wanted, then the credential's. */
export class Removal {
  step = $state<"asking" | "removing" | "deleting">("asking");
  /** Devices that are through. */
  done = $state(0);
  /** All devices; null until the change says so. */
  all = $state<number | null>(null);
  stopping = $state(false);
  error = $state.raw<unknown>(null);
  /** The removal from the devices that did not come to its end, because of which nothing was deleted. */
  unfinished = $state.raw<{ change: number; outcome: ChangeState } | null>(null);
  #backend: Backend;
  #change: number | null = null;
  #gone = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Answers whether the credential is deleted. */
  async run(credential: number, fate: Fate): Promise<boolean> {
    if (this.step !== "asking") return false;
    this.error = null;
    this.unfinished = null;
    try {
      if (fate === "remove") {
        const { change, outcome } = await this.#takeOff(credential);
        if (outcome !== "changed") {
          this.unfinished = { change, outcome };
          return false;
        }
        // Where nobody waits any more, nobody would see an error: the credential is kept.
        if (this.#gone) return false;
      }
      this.step = "deleting";
      await this.#backend.removeCredential(credential, fate === "leave" ? "leave-there" : "refuse");
      return true;
    } catch (error) {
      this.error = error;
      return false;
    } finally {
      this.step = "asking";
      this.stopping = false;
    }
  }

  /** Finishes the device in hand and deletes nothing. */
  async stop(): Promise<void> {
    if (this.#change === null || this.stopping) return;
    this.stopping = true;
    try {
      await this.#backend.stopChange(this.#change);
    } catch (error) {
      this.error = error;
      this.stopping = false;
    }
  }

  /** Whether "Stop" has something to stop. */
  get stoppable(): boolean {
    return this.step === "removing" && this.all !== null;
  }

  leave() {
    this.#gone = true;
  }

  async #takeOff(credential: number): Promise<{ change: number; outcome: ChangeState }> {
    this.step = "removing";
    this.done = 0;
    this.all = null;
    let change: number | null = null;
    let end: (outcome: ChangeState) => void = () => {};
    const ended = new Promise<ChangeState>((resolve) => (end = resolve));
    const through = new Set<string>();
    const hear = (event: Event) => {
      if (event.event === "started") this.all = event.devices.length;
      if (event.event === "stage" && event.stage === "refuse" && event.state === "done") through.add(event.device);
      if (event.event === "finished") end(outcomeState(event.outcome));
      this.done = through.size;
    };
    // It may be over before its number is known here: what comes meanwhile is kept.
    const early: Event[] = [];
    const read = async () => {
      if (change === null) return;
      const page = await this.#backend.change(change).catch(() => null);
      if (page === null) return;
      this.all ??= page.change.devices;
      if (page.change.state !== "running") end(page.change.state);
    };
    const stop = [
      notices.on("change", (event) => {
        if (change === null) early.push(event);
        else if (event.change === change) hear(event);
      }),
      // One that was broken off says no last word; then the list of changes does.
      notices.on("catalogue", () => void read()),
    ];
    try {
      const id = await this.#backend.beginChange(asStored("uninstall", credential));
      change = id;
      this.#change = id;
      early.filter((event) => event.change === id).forEach(hear);
      void read();
      return { change: id, outcome: await ended };
    } finally {
      this.#change = null;
      stop.forEach((off) => off());
    }
  }
}

function outcomeState(outcome: Outcome): ChangeState {
  return outcome;
}
