/** How credentials stand, as lists sort and show it. */
import type { Tone } from "../../components/tone";
import type { CredentialDetails } from "../../generated/CredentialDetails";
import type { CredentialState } from "../../generated/CredentialState";

/** All states, the worst first: the order that the core has, too. */
export const STATES: readonly CredentialState[] = [
  "interrupted",
  "partly-changed",
  "last-change-failed",
  "overdue",
  "not-ready",
  "due",
  "changing",
  "on-request",
  "up-to-date",
  "disabled",
];

const PLACES = new Map(STATES.map((state, place) => [state, place]));

/** The place of a state in lists that are sorted worst first. */
export function place(state: CredentialState): number {
  return PLACES.get(state) ?? STATES.length;
}

const TONES: Record<CredentialState, Tone> = {
  interrupted: "danger",
  "partly-changed": "attention",
  "last-change-failed": "danger",
  overdue: "danger",
  "not-ready": "attention",
  due: "attention",
  changing: "busy",
  "on-request": "good",
  "up-to-date": "good",
  disabled: "neutral",
};

export function tone(state: CredentialState): Tone {
  return TONES[state];
}

/** Whether a key of the credential is known to stand on any device. */
export function standsSomewhere(details: CredentialDetails): boolean {
  return (
    details.username_fixed.length > 0 ||
    details.truth.some((device) => device.versions.some((version) => version.answer === "accepted"))
  );
}

/** Whether the current key is one that somebody else may have: it is used for nothing but its own change. */
export function isCompromised(details: CredentialDetails): boolean {
  return details.credential.key_versions.some((version) => version.state === "current" && version.compromised);
}

/** What the page offers first. */
export type MainAction =
  | { action: "change-key" | "compromised" | "install" | "enable" | "edit" }
  | { action: "show-change" | "resume" | "retry"; change: number };

/**
 * The one obvious action. A change that is not ended comes before all else: while it is open no other can begin, and only
 * its own page says what is where.
 */
export function mainAction(details: CredentialDetails): MainAction {
  const open = details.changes
    .filter((change) => ["running", "interrupted", "partly-changed"].includes(change.state))
    .reduce<(typeof details.changes)[number] | null>((newest, it) => (newest === null || it.id > newest.id ? it : newest), null);
  if (open?.state === "running") return { action: "show-change", change: open.id };
  if (open?.state === "interrupted") return { action: "resume", change: open.id };
  if (open?.state === "partly-changed") return { action: "retry", change: open.id };
  if (details.credential.state === "disabled") return { action: "enable" };
  if (details.credential.kind === "password") return { action: "edit" };
  if (isCompromised(details)) return { action: "compromised" };
  return { action: standsSomewhere(details) ? "change-key" : "install" };
}

/** Whether the key that a file was imported from has been changed since: then the file holds an old one. */
export function importIsOld(details: CredentialDetails): boolean {
  const versions = details.credential.key_versions;
  const current = versions.find((version) => version.state === "current");
  return current !== undefined && versions.some((version) => version.version < current.version);
}

/** An algorithm as forms name it: "Ed25519", "ECDSA P-256", "RSA 3072". */
export function algorithmName(algorithm: string): string {
  if (algorithm === "ed25519") return "Ed25519";
  const [family, size = ""] = algorithm.split("-");
  if (family === "ecdsa") return `ECDSA P-${size.replace(/^p/, "")}`;
  return family === "rsa" ? `RSA ${size}` : algorithm;
}
