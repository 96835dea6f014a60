import type { Backend } from "../backend/backend";

/** How often a keyring that can't be used is asked again; only while that is shown, so nothing polls at rest. */
const AGAIN_MS = 2000;

/** Whether the keyring can be used, and why not. */
export class Keyring {
  /** Why it can't be used; null while it can, or while nobody knows yet. */
  problem = $state.raw<unknown>(null);
  /** Whether it was asked at all. */
  asked = $state(false);
  #backend: Backend;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Asks, and goes on asking until it can be used. */
  async ask(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      await this.#backend.checkKeyring();
      this.problem = null;
    } catch (problem) {
      this.problem = problem;
      if (!this.#ended) this.#timer = setTimeout(() => void this.ask(), AGAIN_MS);
    }
    this.asked = true;
  }

  /** Asks no more. */
  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
