/** What needs attention: each kind of trouble once, with how many have it and where it is seen. */
import { href } from "../../app/router.svelte";
import type { Tone } from "../../components/tone";
import type { ChangeState } from "../../generated/ChangeState";
import type { ChangeView } from "../../generated/ChangeView";
import type { CredentialRow } from "../../generated/CredentialRow";
import type { CredentialState } from "../../generated/CredentialState";
import type { DeviceRow } from "../../generated/DeviceRow";
import { dueOf, type Due } from "./due";
import { unpinned } from "./steps";

export type Trouble = "interrupted" | "partly" | "failed" | "overdue" | "hostKeyChanged" | "notReady" | "unpinned" | "dueSoon";

/** A line of what needs attention. */
export interface Attention {
  trouble: Trouble;
  tone: Tone;
  count: number;
  /** The name of the one that has it. */
  name: string;
  /** Its page where it is one, else the list that shows just these. */
  href: string;
}

/** The lines, the worst first. */
export function attention(
  devices: readonly DeviceRow[],
  credentials: readonly CredentialRow[],
  changes: readonly ChangeView[],
  now: Date = new Date(),
): Attention[] {
  const inState = (state: CredentialState) => credentials.filter((credential) => credential.state === state);
  const due = (wanted: Due) => credentials.filter((credential) => dueOf(credential, now) === wanted);
  const latest = (credential: CredentialRow, state: ChangeState) => {
    const ids = changes
      .filter((change) => change.credential_id === credential.id && change.state === state)
      .map((change) => change.id);
    return ids.length === 0 ? href("credentials", credential.id) : href("changes", Math.max(...ids));
  };
  const interrupted = changes.filter((change) => change.state === "interrupted");
  const changed = devices.filter((device) => device.host_key_state === "changed");
  return [
    line("interrupted", "attention", interrupted, {
      name: (change) => change.credential,
      page: (change) => href("changes", change.id),
      list: href("changes", null, null, { state: "interrupted" }),
    }),
    line("partly", "attention", inState("partly-changed"), {
      name: (credential) => credential.name,
      page: (credential) => latest(credential, "partly-changed"),
      list: href("credentials", null, null, { state: "partly-changed" }),
    }),
    line("failed", "danger", inState("last-change-failed"), {
      name: (credential) => credential.name,
      page: (credential) => latest(credential, "failed"),
      list: href("credentials", null, null, { state: "last-change-failed" }),
    }),
    line("overdue", "danger", due("overdue"), {
      name: (credential) => credential.name,
      page: (credential) => href("credentials", credential.id),
      list: href("credentials", null, null, { due: "overdue" }),
    }),
    line("hostKeyChanged", "danger", changed, {
      name: (device) => device.name,
      page: (device) => href("devices", device.id),
      list: href("devices", null, null, { state: "changed" }),
    }),
    line("notReady", "attention", inState("not-ready"), {
      name: (credential) => credential.name,
      page: (credential) => href("credentials", credential.id),
      list: href("credentials", null, null, { state: "not-ready" }),
    }),
    line("unpinned", "attention", unpinned(devices), {
      name: (device) => device.name,
      page: (device) => href("devices", device.id),
      list: href("devices", null, null, { state: "none", status: "enabled" }),
    }),
    line("dueSoon", "neutral", due("week"), {
      name: (credential) => credential.name,
      page: (credential) => href("credentials", credential.id),
      list: href("credentials", null, null, { due: "week" }),
    }),
  ].filter((each) => each !== null);
}

interface Leads<Thing> {
  name: (thing: Thing) => string;
  page: (thing: Thing) => string;
  list: string;
}

function line<Thing>(
  trouble: Trouble,
  tone: Tone,
  things: readonly Thing[],
  { name, page, list }: Leads<Thing>,
): Attention | null {
  const [first] = things;
  if (first === undefined) return null;
  const href = things.length === 1 ? page(first) : list;
  return { trouble, tone, count: things.length, name: name(first), href };
}
