import { t } from "../../messages";
import type { Age } from "./ages";

/** What a step of key ages is called: "31–90 days". */
export function ageLabel({ from, to }: Age): string {
  if (to === null) return t("overview.ageOver", { days: from - 1 });
  return from === 0 ? t("overview.ageUpTo", { to }) : t("overview.ageBetween", { from, to });
}
