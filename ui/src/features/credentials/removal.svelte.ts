import type { Backend } from "../../backend/backend";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";
import { followChange } from "../change/follow";
import { asStored } from "./check.svelte";

/** What becomes of the public key where a credential is deleted. */
export type Fate = "remove" | "leave" | "nowhere";

/** "Delete": first the public key's removal from the devices, if that is wanted, then the credential's. */
export class Removal {
  step = $state<"asking" | "removing" | "deleting">("asking");
  /** Devices that are through. */
  done = $state(0);
  /** All devices; null until the change is begun. */
  all = $state<number | null>(null);
  stopping = $state(false);
  error = $state.raw<unknown>(null);
  /** The removal from the devices that did not come to its end, because of which nothing was deleted. */
  unfinished = $state.raw<{ change: number; outcome: Outcome } | null>(null);
  #backend: Backend;
  #devices: number;
  #change: number | null = null;
  #gone = false;

  /** `devices`: how many the key is to be taken off. */
  constructor(backend: Backend, devices: number) {
    this.#backend = backend;
    this.#devices = devices;
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

  async #takeOff(credential: number): Promise<{ change: number; outcome: Outcome }> {
    this.step = "removing";
    this.done = 0;
    this.all = null;
    const change = await this.#backend.beginChange(asStored("uninstall", credential));
    this.#change = change;
    this.all = this.#devices;
    const through = new Set<string>();
    const hear = (event: Event) => {
      if (event.event === "started") this.all = event.devices.length;
      if (event.event === "stage" && event.stage === "refuse" && event.state === "done") through.add(event.device);
      this.done = through.size;
    };
    try {
      return { change, outcome: await followChange(change, hear, this.#backend) };
    } finally {
      this.#change = null;
    }
  }
}
