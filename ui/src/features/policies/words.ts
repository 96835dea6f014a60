/** How policies and next changes are said. */
import type { ChangeReason } from "../../generated/ChangeReason";
import type { NewPolicy } from "../../generated/NewPolicy";
import { t } from "../../messages";
import { day, list, weekday } from "../../messages/format";
import { WEEKDAYS } from "./fields";

/** The days on which changes may begin. */
export function daysWords(days: NewPolicy["days"]): string {
  if (days.length === WEEKDAYS.length) return t("policies.anyDay");
  return list(days.map((name) => weekday(WEEKDAYS.indexOf(name), "short")));
}

/** The hours at which they may begin. */
export function hoursWords({ from, to }: Pick<NewPolicy, "from" | "to">): string {
  return from === to ? t("policies.anyHour") : t("policies.hours", { from, to });
}

/** Whether the key that a reason is about is saved already. */
export type Saved = "saved" | "unsaved";

/** Why a key changes when it does: "90 days after 3 Mar 2027, next allowed hour". */
export function reasonWords(next: { at: string; due: string; reason: ChangeReason }, saved: Saved = "saved"): string {
  const why = causeWords(next.reason, saved);
  const allowed = new Date(next.at).getTime() === new Date(next.due).getTime();
  return allowed ? why : t("policies.reasonNextAllowed", { reason: why });
}

function causeWords(reason: ChangeReason, saved: Saved): string {
  switch (reason.kind) {
    case "age":
      return saved === "unsaved"
        ? t("policies.reasonAgeUnsaved", { days: reason.days })
        : t("policies.reasonAge", { days: reason.days, since: day(reason.since) });
    case "reveal":
      return t("policies.reasonReveal", { hours: reason.hours, since: day(reason.since) });
    case "retry":
      return t("policies.reasonRetry", { attempt: reason.attempt, of: reason.of });
    case "next-series":
      return t("policies.reasonNextSeries", { attempts: reason.attempts });
  }
}

/** The next change of a credential as a list has it; null where it does not change by itself. */
export function nextOf(row: {
  next_change: string | null;
  next_change_due: string | null;
  next_change_reason: ChangeReason | null;
}): { at: string; due: string; reason: ChangeReason } | null {
  const { next_change: at, next_change_due: due, next_change_reason: reason } = row;
  return at === null || due === null || reason === null ? null : { at, due, reason };
}
