/** The numbers of the charts. */
import { href } from "../../app/router.svelte";
import type { ChangeView } from "../../generated/ChangeView";
import type { CredentialRow } from "../../generated/CredentialRow";
import { AGES, ageOf, daysOld, type Age } from "./ages";
import { lastWeeks, OUTCOMES, outcomeOf, weekOf, type ChangeOutcome } from "./weeks";

/** How many weeks are drawn. */
export const WEEKS = 12;

/** A bar: how many, and the list of just these. */
export interface Bar<Key> {
  key: Key;
  count: number;
  href: string;
}

/** The ages of the current keys. */
export interface KeyAges {
  bars: Bar<Age>[];
  /** How many keys there are. */
  all: number;
  /** How many of them are older than their policies let them be. */
  old: number;
}

/** How old the current keys are; every step, the empty ones, too. */
export function keyAges(credentials: readonly CredentialRow[], now: Date): KeyAges {
  // A password has an age, too, and is no key.
  const keys = credentials.flatMap(({ kind, key_created: made, maximum_age_days: most }) =>
    kind === "ssh-key" && made !== null ? [{ made, most }] : [],
  );
  const counts = counted(keys.map((key) => ageOf(key.made, now).id));
  return {
    bars: AGES.map((age) => ({
      key: age,
      count: counts.get(age.id) ?? 0,
      href: href("credentials", null, null, { age: age.id }),
    })),
    all: keys.length,
    old: keys.filter((key) => daysOld(key.made, now) > key.most).length,
  };
}

/** Which algorithms the current keys are of, the most frequent first. */
export function algorithms(credentials: readonly CredentialRow[]): Bar<string>[] {
  const counts = counted(credentials.map((credential) => credential.algorithm).filter((name) => name !== null));
  return [...counts]
    .sort(([one, more], [other, less]) => less - more || (one < other ? -1 : 1))
    .map(([key, count]) => ({ key, count, href: href("credentials", null, null, { algorithm: key }) }));
}

/** A week's changes by how they ended; only ends that there were. */
export interface Week {
  /** Its Monday. */
  week: string;
  count: number;
  parts: Bar<ChangeOutcome>[];
}

/** How the changes that began in the last weeks ended, the oldest week first. */
export function changesByWeek(changes: readonly ChangeView[], now: Date): Week[] {
  const counts = counted(
    changes.flatMap((change) => {
      const outcome = outcomeOf(change.state);
      return outcome === null ? [] : [`${weekOf(change.started)} ${outcome}`];
    }),
  );
  return lastWeeks(WEEKS, now).map((week) => {
    const parts = OUTCOMES.map((outcome) => ({
      key: outcome,
      count: counts.get(`${week} ${outcome}`) ?? 0,
      href: href("changes", null, null, { week, outcome }),
    })).filter((part) => part.count > 0);
    return { week, count: parts.reduce((sum, part) => sum + part.count, 0), parts };
  });
}

/** How often each end came in these weeks; only ends that there were. */
export function totals(weeks: readonly Week[]): { outcome: ChangeOutcome; count: number }[] {
  return OUTCOMES.map((outcome) => ({
    outcome,
    count: weeks.flatMap((week) => week.parts).reduce((sum, part) => sum + (part.key === outcome ? part.count : 0), 0),
  })).filter((total) => total.count > 0);
}

/** The name of an algorithm as forms write it: "Ed25519", "ECDSA P-256", "RSA 3072". */
export function algorithmName(algorithm: string): string {
  if (algorithm === "ed25519") return "Ed25519";
  return algorithm.replace(/^ecdsa-p/, "ECDSA P-").replace(/^rsa-/, "RSA ");
}

function counted<Key>(keys: readonly Key[]): Map<Key, number> {
  const counts = new Map<Key, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
