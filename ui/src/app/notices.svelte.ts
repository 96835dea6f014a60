import type { Backend } from "../backend/backend";
import type { Event } from "../generated/Event";
import type { Notice } from "../generated/Notice";

type Listener<Of extends Notice["notice"]> = (notice: Extract<Notice, { notice: Of }>) => void;

/** What Rust tells by itself, handed on to whoever shows it. */
class Notices {
  #listeners = new Map<string, Set<(notice: never) => void>>();

  /** Begins to listen to Rust. */
  start(backend: Backend): Promise<void> {
    return backend.watch((notice) => this.hand(notice));
  }

  /** Hands a notice on. */
  hand(notice: Notice) {
    for (const listener of this.#listeners.get(notice.notice) ?? []) listener(notice as never);
  }

  /** Listens until the returned function is called. */
  on<Of extends Notice["notice"]>(kind: Of, listener: Listener<Of>): () => void {
    const listeners = this.#listeners.get(kind) ?? new Set();
    this.#listeners.set(kind, listeners);
    listeners.add(listener as (notice: never) => void);
    return () => listeners.delete(listener as (notice: never) => void);
  }

  /** Listens to the events of one change. */
  onChange(id: number, listener: (event: Event) => void): () => void {
    return this.on("change", (notice) => {
      if (notice.change === id) listener(notice);
    });
  }
}

export const notices = new Notices();
