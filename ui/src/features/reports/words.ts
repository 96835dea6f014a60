/** The reports' own words for what they name. */
import type { ChangeState } from "../../generated/ChangeState";
import { changeState } from "../changes/words";

const OUTCOMES: readonly ChangeState[] = ["interrupted", "changed", "partly-changed", "rolled-back", "failed", "cancelled"];

/** How a change ended, as a proof says it; a word that this version does not know is shown as it stands there. */
export function outcomeWord(outcome: string): string {
  const known = OUTCOMES.find((state) => state === outcome);
  return known === undefined ? outcome : changeState(known);
}
