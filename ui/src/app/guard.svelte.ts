import { onDestroy } from "svelte";

import { router } from "./router.svelte";

/** The question that stands while someone wants to leave unsaved changes. */
class Unsaved {
  /** Whether it is being asked. */
  asking = $state(false);
  #answer: ((leave: boolean) => void) | null = null;

  ask(): Promise<boolean> {
    // Whoever asks again withdraws the first question.
    this.#answer?.(false);
    this.asking = true;
    return new Promise((answer) => {
      this.#answer = answer;
    });
  }

  answer(leave: boolean) {
    this.asking = false;
    this.#answer?.(leave);
    this.#answer = null;
  }
}

export const unsaved = new Unsaved();

/** Asks before the component is left while `changed` says that something in it would be lost; called while it is made. */
export function askBeforeLeaving(changed: () => boolean) {
  onDestroy(router.guard(() => (changed() ? unsaved.ask() : true)));
}
