/** The choices of "Change key now" and "Install key on devices", and the request that they make. */
import type { Algorithm } from "../../generated/Algorithm";
import type { ChangeRequest } from "../../generated/ChangeRequest";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { OnFailure } from "../../generated/OnFailure";
import type { Strategy } from "../../generated/Strategy";

/** The kinds of change that this page begins. */
export type PageKind = "rotate" | "install" | "emergency";

export interface Choices {
  /** A credential's ID; null: the key itself. */
  connectWith: number | null;
  algorithm: Algorithm;
  strategy: Exclude<Strategy, "emergency">;
  onFailure: OnFailure;
  /** As it was typed. */
  atOnce: string;
  /** The options of an installed line. */
  options: string;
  /** When it begins, as it was typed; null: now. */
  at: string | null;
}

export const ALGORITHMS: readonly { value: Algorithm; name: string }[] = [
  { value: "ed25519", name: "Ed25519" },
  { value: "ecdsa-p256", name: "ECDSA P-256" },
  { value: "ecdsa-p384", name: "ECDSA P-384" },
  { value: "ecdsa-p521", name: "ECDSA P-521" },
  { value: "rsa-2048", name: "RSA 2048" },
  { value: "rsa-3072", name: "RSA 3072" },
  { value: "rsa-4096", name: "RSA 4096" },
];

/** An algorithm as people write it. */
export function algorithmName(algorithm: Algorithm): string {
  return ALGORITHMS.find((known) => known.value === algorithm)?.name ?? algorithm;
}

/** What the credential's form says. */
export function preset(credential: CredentialRow): Choices {
  return {
    connectWith: credential.auth_with_id,
    algorithm: credential.algorithm ?? "ed25519",
    strategy: "two-phase",
    onFailure: "roll-back",
    atOnce: "1",
    options: "",
    at: null,
  };
}

/** Devices at once as a number, or null for what is none that can be used. */
export function atOnce(text: string): number | null {
  const value = /^\s*\d{1,4}\s*$/.test(text) ? Number(text) : 0;
  return value >= 1 ? value : null;
}

/** The request for a change, or null while a choice is missing or can't be used. */
export function requestOf(
  kind: PageKind,
  credential: number,
  choices: Choices,
  leaveOut: readonly number[],
): ChangeRequest | null {
  const count = atOnce(choices.atOnce);
  if (count === null || (kind === "install" && choices.connectWith === null)) return null;
  const connect = choices.connectWith;
  const connect_with = connect === null ? ("itself" as const) : { credential: connect };
  if (kind === "install") {
    // An installation has one order and takes everything back when a device fails.
    const none = { algorithm: null, strategy: null, on_failure: null, at_once: null, leave_out: [], devices: null };
    const options = choices.options.trim();
    return { kind, credential, connect_with, ...none, options: options === "" ? null : options };
  }
  // An emergency goes past every failure; there is nothing to choose.
  const emergency = kind === "emergency";
  return {
    kind: "rotate",
    credential,
    connect_with,
    algorithm: choices.algorithm,
    strategy: emergency ? "emergency" : choices.strategy,
    on_failure: emergency ? null : choices.onFailure,
    at_once: count,
    leave_out: [...leaveOut],
    devices: null,
    options: null,
  };
}
