import type { Backend } from "../backend/backend";
import type { ChangeView } from "../generated/ChangeView";
import type { Event } from "../generated/Event";
import { notices } from "./notices.svelte";

/** A change that runs, as the foot of the sidebar shows it. */
export interface Running {
  id: number;
  credential: string;
  devices: number;
  /** The devices that are through with all their stages; null while nobody here can tell. */
  done: number | null;
}

/** The changes that run now, here or in another program. */
class RunningChanges {
  list = $state.raw<Running[]>([]);
  #through = new Map<number, Set<string>>();

  /** Begins to follow them. */
  start(backend: Backend): () => void {
    const read = async () => {
      try {
        this.show(await backend.changes());
      } catch {
        // Whatever is wrong is told by the screen that asks for the same.
      }
    };
    const stop = [
      notices.on("change", (event) => {
        this.hear(event);
        if (event.event === "finished") void read();
      }),
      notices.on("catalogue", () => void read()),
    ];
    void read();
    return () => stop.forEach((end) => end());
  }

  /** Shows what the list of changes says. */
  show(changes: readonly ChangeView[]) {
    this.list = changes
      .filter((change) => change.state === "running")
      .map((change) => {
        const through = this.#through.get(change.id)?.size;
        const done = through ?? change.devices_done;
        return { id: change.id, credential: change.credential, devices: change.devices, done };
      });
  }

  /** Follows an event. */
  hear(event: Event) {
    if (event.event === "started") {
      this.#through.set(event.change, new Set());
      const running = { id: event.change, credential: event.credential, devices: event.devices.length, done: 0 };
      this.list = [...this.list.filter((other) => other.id !== event.change), running];
    } else if (event.event === "finished") {
      this.#through.delete(event.change);
      this.list = this.list.filter((other) => other.id !== event.change);
    } else if (event.event === "stage" && event.stage === "refuse" && event.state === "done") {
      const through = this.#through.get(event.change) ?? new Set();
      through.add(event.device);
      this.#through.set(event.change, through);
      this.list = this.list.map((other) => (other.id === event.change ? { ...other, done: through.size } : other));
    }
  }
}

export const running = new RunningChanges();
