import type { Backend } from "../../backend/backend";
import type { Algorithm } from "../../generated/Algorithm";
import type { DraftKey } from "../../generated/DraftKey";
import type { KeyChoice } from "../../generated/KeyChoice";

/** Where a key came from. */
export type Source = "generated" | "file" | "clipboard";

/** A chosen key that a passphrase still locks. */
export interface LockedKey {
  draft: number;
  file: string | null;
  source: Source;
}

/** The key of a new credential: it lies in Rust's memory, and whatever is not saved of it is dropped there. */
export class ChosenKey {
  /** What the next key is generated with. */
  algorithm = $state<Algorithm>("ed25519");
  key = $state.raw<DraftKey | null>(null);
  source = $state.raw<Source | null>(null);
  locked = $state.raw<LockedKey | null>(null);
  /** What is awaited from Rust. */
  busy = $state.raw<Source | "unlock" | null>(null);
  /** Why the newest key could not be had. */
  error = $state.raw<unknown>(null);
  /** Why the passphrase opened nothing. */
  passphraseError = $state.raw<unknown>(null);
  #backend: Backend;
  #ended = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Whether the generated key is of another algorithm than the one that is now chosen. */
  get stale(): boolean {
    return this.source === "generated" && this.key !== null && this.key.algorithm !== this.algorithm;
  }

  /** The draft in hand, locked or not. */
  get draft(): number | null {
    return this.key?.draft ?? this.locked?.draft ?? null;
  }

  generate(comment: string): Promise<void> {
    return this.#choose("generated", async () => ({
      choice: "key",
      ...(await this.#backend.generateKey(this.algorithm, comment)),
    }));
  }

  chooseFile(): Promise<void> {
    return this.#choose("file", () => this.#backend.chooseKeyFile());
  }

  paste(): Promise<void> {
    return this.#choose("clipboard", () => this.#backend.pasteKey());
  }

  async unlock(passphrase: string): Promise<void> {
    const locked = this.locked;
    if (this.busy !== null || locked === null) return;
    this.busy = "unlock";
    this.passphraseError = null;
    try {
      const key = await this.#backend.unlockKey(locked.draft, passphrase);
      if (key.draft !== locked.draft) this.#drop(locked.draft);
      if (this.#ended) {
        this.#drop(key.draft);
        return;
      }
      this.locked = null;
      this.key = key;
      this.source = locked.source;
    } catch (error) {
      this.passphraseError = error;
    } finally {
      this.busy = null;
    }
  }

  /** Drops the key in hand. */
  drop() {
    if (this.draft !== null) this.#drop(this.draft);
    this.forget();
  }

  /** Lets go of a key that Rust has taken, or has no more. */
  forget() {
    this.key = null;
    this.locked = null;
    this.source = null;
    this.passphraseError = null;
  }

  /** Drops whatever is in hand, and what is still on its way. */
  end() {
    this.#ended = true;
    this.drop();
  }

  async #choose(source: Source, ask: () => Promise<KeyChoice | null>): Promise<void> {
    if (this.busy !== null) return;
    this.busy = source;
    this.error = null;
    try {
      const choice = await ask();
      if (choice === null) return;
      if (this.#ended) {
        this.#drop(choice.draft);
        return;
      }
      this.drop();
      this.source = source;
      if (choice.choice === "encrypted") this.locked = { draft: choice.draft, file: choice.file, source };
      else this.key = choice;
    } catch (error) {
      this.error = error;
    } finally {
      this.busy = null;
    }
  }

  #drop(draft: number) {
    // A draft that is gone already is what was wanted.
    this.#backend.dropDraft(draft).catch(() => undefined);
  }
}
