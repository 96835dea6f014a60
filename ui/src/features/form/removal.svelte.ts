import { notices } from "../../app/notices.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import type { ChangeRequest } from "../../generated/ChangeRequest";
import type { Event } from "../../generated/Event";
import type { Report } from "../../generated/Report";

/** A device from which the key could not be taken. */
export interface NotRemoved {
  device: string;
  error: Report | null;
}

/** How the removal of a public key ended. */
export interface RemovalEnd {
  removed: boolean;
  failed: NotRemoved[];
  error: unknown;
}

/** Takes a credential's public key off some of its devices, and follows that change to its end. */
export class Removal {
  /** The change, once it is begun. */
  change = $state.raw<number | null>(null);
  running = $state(false);
  stopping = $state(false);
  /** How many devices are through. */
  done = $state(0);
  /** How it ended. */
  end = $state.raw<RemovalEnd | null>(null);
  #through = new Set<string>();
  #backend: Backend;
  #leave: () => void = () => undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Runs it; answers whether the key is gone from every one of the devices. */
  async run(credential: number, devices: number[]): Promise<boolean> {
    if (this.running) return false;
    this.change = null;
    this.running = true;
    this.stopping = false;
    this.done = 0;
    this.end = null;
    this.#through = new Set();
    try {
      this.end = await this.#follow(uninstall(credential, devices));
    } catch (error) {
      this.end = { removed: false, failed: [], error };
    } finally {
      this.running = false;
    }
    return this.end.removed;
  }

  /** Lets the device in hand be finished. */
  async stop(): Promise<void> {
    if (this.change === null || this.stopping) return;
    this.stopping = true;
    try {
      await this.#backend.stopChange(this.change);
    } catch {
      // It has ended meanwhile, or goes on; its end tells.
      this.stopping = false;
    }
  }

  /** Nobody looks any more; the change itself goes on. */
  leave() {
    this.#leave();
  }

  #follow(request: ChangeRequest): Promise<RemovalEnd> {
    return new Promise((resolve, reject) => {
      let id: number | null = null;
      // The first events may come before the change's number.
      const early: Event[] = [];
      const hear = (event: Event) => {
        if (event.event === "stage" && event.stage === "refuse" && event.state === "done") {
          this.#through.add(event.device);
          this.done = this.#through.size;
        } else if (event.event === "finished") {
          const failed = event.devices.filter((device) => device.error !== null || device.state !== "changed");
          finish({ removed: event.outcome === "changed", failed, error: null });
        }
      };
      // A change that ends by an error tells no end of its own: its record does.
      const look = async () => {
        if (id === null) return;
        try {
          const page = await this.#backend.change(id);
          if (page.change.state === "running" || page.change.state === "scheduled") return;
          const failed = page.records.filter((record) => record.error !== null || record.state !== "changed");
          const error = page.error === null ? null : new BackendError(page.error);
          finish({ removed: page.change.state === "changed", failed, error });
        } catch {
          // The next notice asks again.
        }
      };
      const ends = [
        notices.on("change", (event) => {
          if (id === null) early.push(event);
          else if (event.change === id) hear(event);
        }),
        notices.on("catalogue", () => void look()),
      ];
      const finish = (end: RemovalEnd) => {
        ends.forEach((stop) => stop());
        resolve(end.removed ? { ...end, failed: [] } : end);
      };
      this.#leave = () => finish({ removed: false, failed: [], error: null });
      this.#backend.beginChange(request).then(
        (begun) => {
          id = begun;
          this.change = begun;
          early.filter((event) => event.change === begun).forEach(hear);
          void look();
        },
        (error: unknown) => {
          ends.forEach((stop) => stop());
          reject(error);
        },
      );
    });
  }
}

function uninstall(credential: number, devices: number[]): ChangeRequest {
  return {
    kind: "uninstall",
    credential,
    connect_with: "as-stored",
    algorithm: null,
    strategy: null,
    on_failure: null,
    at_once: null,
    leave_out: [],
    devices,
    options: null,
  };
}
