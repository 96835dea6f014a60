import type { Backend } from "../backend/backend";
import { stagesOf } from "../features/changes/track";
import type { ChangeView } from "../generated/ChangeView";
import type { Event } from "../generated/Event";
import type { Stage } from "../generated/Stage";
import { notices } from "./notices.svelte";

/** A change that runs, as the foot of the sidebar shows it. */
export interface Running {
  id: number;
  credential: string;
  devices: number;
  /** The devices that are through with all their stages. */
  done: number;
  /** How much of the work is done, from 0 to 1; null where another program does it. */
  share: number | null;
}

/** What is known of a change that runs here. */
interface Progress {
  stages: readonly Stage[];
  /** Stages that are done: `web-1 prove`. */
  done: Set<string>;
}

/** How often the list is read again while another program changes a key; only then, so nothing polls at rest. */
const AGAIN_MS = 2000;

/** The changes that run now, here or in another program. */
class RunningChanges {
  list = $state.raw<Running[]>([]);
  #progress = new Map<number, Progress>();

  /** Begins to follow them. */
  start(backend: Backend): () => void {
    let again: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const read = async () => {
      clearTimeout(again);
      try {
        this.show(await backend.changes());
      } catch {
        // Whatever is wrong is told by the screen that asks for the same.
      }
      // Nobody tells how far another program is, or that it is through.
      if (!ended && this.list.some((change) => change.share === null)) again = setTimeout(() => void read(), AGAIN_MS);
    };
    const stop = [
      notices.on("change", (event) => {
        this.hear(event);
        if (event.event === "finished") void read();
      }),
      notices.on("catalogue", () => void read()),
    ];
    void read();
    return () => {
      ended = true;
      clearTimeout(again);
      stop.forEach((end) => end());
    };
  }

  /** Shows what the list of changes says. */
  show(changes: readonly ChangeView[]) {
    this.list = changes
      .filter((change) => change.state === "running")
      .map((change) => this.#running(change.id, change.credential, change.devices, change.devices_done));
  }

  /** Follows an event. */
  hear(event: Event) {
    const id = event.change;
    const others = this.list.filter((other) => other.id !== id);
    if (event.event === "started") {
      this.#progress.set(id, { stages: stagesOf(event.kind), done: new Set() });
      this.list = [...others, this.#running(id, event.credential, event.devices.length, 0)];
    } else if (event.event === "finished") {
      this.#progress.delete(id);
      this.list = others;
    } else if (event.event === "stage" && event.state === "done") {
      this.#progress.get(id)?.done.add(`${event.device} ${event.stage}`);
      this.list = this.list.map((other) =>
        other.id === id ? this.#running(id, other.credential, other.devices, other.done) : other,
      );
    }
  }

  #running(id: number, credential: string, devices: number, done: number): Running {
    const progress = this.#progress.get(id);
    if (progress === undefined) return { id, credential, devices, done, share: null };
    const last = ` ${progress.stages.at(-1) ?? ""}`;
    const through = [...progress.done].filter((stage) => stage.endsWith(last)).length;
    const share = progress.done.size / Math.max(1, devices * progress.stages.length);
    return { id, credential, devices, done: through, share: Math.min(1, share) };
  }
}

export const running = new RunningChanges();
