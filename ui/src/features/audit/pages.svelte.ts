import type { Backend } from "../../backend/backend";
import type { AuditRecord } from "../../generated/AuditRecord";

/** How many rows are asked for at once. */
export const PAGE = 200;

/** How long typing must rest before it is searched for. */
export const REST_MS = 150;

/** The audit as far as it was leafed through, newest first. */
export class AuditPages {
  rows = $state.raw<readonly AuditRecord[]>([]);
  /** Whether the first page of the present search has come. */
  read = $state(false);
  /** Counts how often all rows were replaced: a table that was scrolled begins at its top again. */
  turn = $state(0);
  /** Whether older rows may follow. */
  more = $state(true);
  /** Whether a page is awaited. */
  reading = $state(false);
  /** Why the last page did not come. */
  error = $state.raw<unknown>(null);
  /** How many newer rows wait to be shown, while the first ones are out of sight. */
  newer = $state(0);

  #backend: Backend;
  #search = "";
  /** Counts the questions whose answers replace the rows: a late answer to an earlier one is nobody's. */
  #asked = 0;
  /** What failed last. */
  #failed: () => Promise<void> = () => this.first();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** What the rows are narrowed to. */
  get search(): string {
    return this.#search;
  }

  /** Narrows the rows to those with a text, once typing rests. */
  narrow(text: string) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (text.trim() === this.#search) return;
      this.#search = text.trim();
      void this.first();
    }, REST_MS);
  }

  /** Reads the newest page anew; what stood there stays until it has come. */
  async first(): Promise<void> {
    this.#failed = () => this.first();
    await this.#ask(null, (page) => {
      this.#replace(page);
      this.more = page.length === PAGE;
      this.read = true;
    });
  }

  /** Reads the page that follows. */
  async next(): Promise<void> {
    if (this.reading || !this.more || !this.read) return;
    this.#failed = () => this.next();
    await this.#ask(this.rows.at(-1)?.id ?? null, (page) => {
      this.rows = [...this.rows, ...page];
      this.more = page.length === PAGE;
    });
  }

  /** Asks once more for what did not come. */
  again(): Promise<void> {
    return this.#failed();
  }

  /** Looks for rows that came since: they are put on top, or only counted, so that nothing moves under who reads. */
  async refresh(top: boolean): Promise<void> {
    if (!this.read || this.reading) return;
    const asked = this.#asked;
    let page: AuditRecord[];
    try {
      page = await this.#backend.audit({ search: this.#search, before: null, limit: PAGE });
    } catch {
      // What is shown holds still; whoever asks next is told.
      return;
    }
    if (asked !== this.#asked) return;
    const newest = this.rows[0]?.id ?? 0;
    const fresh = page.filter((row) => row.id > newest);
    if (fresh.length === 0) return;
    if (!top) {
      this.newer = fresh.length;
    } else if (fresh.length === PAGE) {
      // There may be a gap between them and the rows below.
      this.#replace(page);
      this.more = true;
    } else {
      this.rows = [...fresh, ...this.rows];
      this.newer = 0;
    }
  }

  /** Asks no more. */
  end() {
    clearTimeout(this.#timer);
    this.#asked += 1;
  }

  #replace(page: AuditRecord[]) {
    this.rows = page;
    this.newer = 0;
    this.turn += 1;
  }

  async #ask(before: number | null, take: (page: AuditRecord[]) => void): Promise<void> {
    const asked = ++this.#asked;
    this.reading = true;
    this.error = null;
    try {
      const page = await this.#backend.audit({ search: this.#search, before, limit: PAGE });
      if (asked !== this.#asked) return;
      take(page);
    } catch (error) {
      if (asked === this.#asked) this.error = error;
    }
    if (asked === this.#asked) this.reading = false;
  }
}
