/** The words for states. */
import type { HostKeyStanding } from "../../generated/HostKeyStanding";
import { t } from "../../messages";
import type { Offered } from "./offered";

/** How a device stands with its host keys. */
export function standingLabel(state: HostKeyStanding): string {
  switch (state) {
    case "none":
      return t("devices.stateNone");
    case "pinned":
      return t("devices.statePinned");
    case "changed":
      return t("devices.stateChanged");
  }
}

/** How an offered host key stands. */
export function offeredLabel(state: Offered): string {
  switch (state) {
    case "changed":
      return t("devices.offeredChanged");
    case "new":
      return t("devices.offeredNew");
    case "matches":
      return t("devices.offeredMatches");
    case "pinned":
      return t("devices.offeredPinned");
  }
}
