import { notices } from "../../app/notices.svelte";
import type { Backend } from "../../backend/backend";
import type { ChangePage } from "../../generated/ChangePage";
import type { Event } from "../../generated/Event";
import { onFrame } from "../change/frame";
import { advance, fold, isException, type Track } from "./track";

/** How often a change that another program runs is read, in milliseconds. */
const POLL = 1000;

/** How soon after something that only the journal tells in full it is read, in milliseconds. */
const SOON = 300;

/** How often the times of what runs are drawn anew, in milliseconds. */
const TICK = 200;

/** One change, followed for as long as its page is shown. */
export class LiveChange {
  page = $state.raw<ChangePage | null>(null);
  track = $state.raw<Track | null>(null);
  /** Why the newest reading went without an answer. */
  error = $state.raw<unknown>(null);
  /** The present, as far as a running change needs it. */
  now = $state(Date.now());

  readonly id: number;
  #backend: Backend;
  #asked = 0;
  /** What was heard and is not drawn yet. */
  #pending: Event[] = [];
  /** What was heard since the reading that is under way was asked for; null while there is none. */
  #meanwhile: Event[] | null = null;
  #frame: (() => void) | null = null;
  #soon: ReturnType<typeof setTimeout> | undefined;

  constructor(backend: Backend, id: number) {
    this.#backend = backend;
    this.id = id;
  }

  /** Whether it runs, as far as was heard or read. */
  get running(): boolean {
    return this.page?.change.state === "running" && this.track?.outcome === null;
  }

  /** Begins to follow; the returned function ends it. */
  start(): () => void {
    const stops = [
      notices.onChange(this.id, (event) => this.#hear(event)),
      notices.on("catalogue", () => void this.read()),
    ];
    const poll = setInterval(() => {
      if (this.page?.change.state === "running" && !this.page.here) void this.read();
    }, POLL);
    const tick = setInterval(() => {
      if (this.running) this.now = Date.now();
    }, TICK);
    void this.read();
    return () => {
      stops.forEach((stop) => stop());
      clearInterval(poll);
      clearInterval(tick);
      clearTimeout(this.#soon);
      this.#frame?.();
      this.#asked += 1;
    };
  }

  /** Reads the change; what is heard meanwhile is laid over the answer. */
  async read(): Promise<void> {
    const asked = ++this.#asked;
    this.#meanwhile ??= [];
    try {
      const page = await this.#backend.change(this.id);
      if (asked !== this.#asked) return;
      const known = new Set(page.events.map(mark));
      const since = this.#meanwhile.filter((event) => !known.has(mark(event)));
      this.#meanwhile = null;
      this.#pending = [];
      this.page = page;
      this.track = fold(page, since);
      this.now = Date.now();
      this.error = null;
      // The end is told a moment before the change is let go.
      if (page.change.state === "running" && this.track.outcome !== null) this.#readSoon();
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#meanwhile = null;
      this.error = error;
    }
  }

  #hear(event: Event) {
    this.#pending.push(event);
    this.#meanwhile?.push(event);
    this.#frame ??= onFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = null;
    if (this.track === null) return;
    const events = this.#pending;
    this.#pending = [];
    this.track = advance(this.track, events);
    this.now = Date.now();
    const ended = events.some((event) => event.event === "finished");
    const wrong = this.track.rows.some((row) => isException(row) && row.error === null);
    if (ended || wrong || (events.some((event) => event.event === "started") && !this.running)) this.#readSoon();
  }

  #readSoon() {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => void this.read(), SOON);
  }
}

/** What tells an event from every other one of its change. */
function mark(event: Event): string {
  const of = "device" in event ? event.device : "";
  const stage = event.event === "stage" ? event.stage : "";
  const state = "state" in event ? event.state : "";
  return [event.at, event.event, stage, state, of].join(" ");
}
