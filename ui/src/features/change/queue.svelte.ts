import type { Backend } from "../../backend/backend";
import type { ChangeRequest } from "../../generated/ChangeRequest";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";
import { stagesOf } from "../changes/track";
import { followChange } from "./follow";

/** One credential whose key is changed in its turn. */
export interface Entry {
  credential: number;
  name: string;
  devices: number;
  state: "waiting" | "running" | "scheduled" | "ended" | "not-begun";
  /** When it begins by itself; null where it began in its turn. */
  at: string | null;
  /** The change, once it is begun. */
  change: number | null;
  /** The devices that are through. */
  through: number;
  outcome: Outcome | null;
  /** Why it could not be begun or followed. */
  error: unknown;
}

/** What is to be changed. */
export interface Wanted {
  name: string;
  devices: number;
  request: ChangeRequest;
}

/**
 * Changes that begin one after the other; one that does not go well keeps none of the others from beginning.
 *
 * They go on when their page is left, so they don't belong to it.
 */
export class Queue {
  entries = $state.raw<readonly Entry[]>([]);
  active = $state(false);
  stopping = $state(false);
  #stop: (() => Promise<void>) | null = null;

  /** Begins them in order; settles when the last has ended. */
  async run(backend: Backend, wanted: readonly Wanted[]): Promise<void> {
    if (this.active) return;
    this.active = true;
    this.stopping = false;
    this.entries = wanted.map((each) => waiting(each, null));
    for (const { request } of wanted) {
      if (this.stopping) this.#set(request.credential, { state: "not-begun" });
      else await this.#one(backend, request);
    }
    this.#stop = null;
    this.active = false;
    this.stopping = false;
  }

  /** Asks for them at a time (RFC 3339); one that can't be asked for keeps none of the others from it. */
  async ask(backend: Backend, wanted: readonly Wanted[], at: string): Promise<void> {
    if (this.active) return;
    this.active = true;
    this.entries = wanted.map((each) => waiting(each, at));
    for (const { request } of wanted) {
      try {
        const change = await backend.requestChange(request, at);
        this.#set(request.credential, { state: "scheduled", change });
      } catch (error) {
        this.#set(request.credential, { state: "not-begun", error });
      }
    }
    this.active = false;
  }

  /** Finishes the device in hand, and begins none of the others. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.#stop?.();
  }

  async #one(backend: Backend, request: ChangeRequest): Promise<void> {
    const { credential } = request;
    this.#set(credential, { state: "running" });
    try {
      const change = await backend.beginChange(request);
      this.#set(credential, { change });
      this.#stop = () => backend.stopChange(change);
      // Whoever asked to stop while it was begun is heard now.
      if (this.stopping) await this.#stop();
      const through = new Set<string>();
      const last = stagesOf(request.kind).at(-1);
      const hear = (event: Event) => {
        if (event.event !== "stage" || event.stage !== last || event.state !== "done") return;
        through.add(event.device);
        this.#set(credential, { through: through.size });
      };
      const outcome = await followChange(change, hear, backend);
      this.#set(credential, { state: "ended", outcome });
    } catch (error) {
      this.#set(credential, { state: "ended", error });
    }
    this.#stop = null;
  }

  #set(credential: number, to: Partial<Entry>) {
    this.entries = this.entries.map((entry) => (entry.credential === credential ? { ...entry, ...to } : entry));
  }
}

function waiting({ name, devices, request }: Wanted, at: string | null): Entry {
  const { credential } = request;
  return { credential, name, devices, state: "waiting", change: null, at, through: 0, outcome: null, error: null };
}

/** The one row of changes of this window. */
export const queue = new Queue();
