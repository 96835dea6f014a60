import { notices } from "../../app/notices.svelte";
import type { Backend } from "../../backend/backend";
import type { ChangeState } from "../../generated/ChangeState";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";

/**
 * Follows a change to its end, and answers how it ended.
 *
 * The end is heard as the event `finished`. A change that breaks off may end without it, and one that is over before it is
 * followed tells nothing more: so its state is read now, and again at every change of the catalogue.
 */
export function followChange(id: number, onEvent: (event: Event) => void, backend: Backend): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    let over = false;
    const ends: (() => void)[] = [];
    const end = (settle: () => void) => {
      if (over) return;
      over = true;
      ends.forEach((stop) => stop());
      settle();
    };
    const read = async () => {
      try {
        const outcome = outcomeOf((await backend.change(id)).change.state);
        if (outcome !== null) end(() => resolve(outcome));
      } catch (error) {
        end(() => reject(error));
      }
    };
    ends.push(
      notices.onChange(id, (event) => {
        onEvent(event);
        if (event.event === "finished") end(() => resolve(event.outcome));
      }),
      notices.on("catalogue", () => void read()),
    );
    void read();
  });
}

function outcomeOf(state: ChangeState): Outcome | null {
  switch (state) {
    case "scheduled":
    case "running":
      return null;
    case "cancelled":
      return "failed";
    default:
      return state;
  }
}
