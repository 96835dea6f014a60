/** What Overview proposes: a line each, already in words, with the page on which one click does it. */
import { href } from "../../app/router.svelte";
import type { Tone } from "../../components/tone";
import type { HeldUp } from "../../generated/HeldUp";
import type { OwnerGone } from "../../generated/OwnerGone";
import type { Proposals } from "../../generated/Proposals";
import { t } from "../../messages";

export interface Proposal {
  key: string;
  tone: Tone;
  what: string;
  text: string;
  href: string;
}

const DAY = 24 * 60 * 60 * 1000;

export function proposalLines(proposals: Proposals, now: Date): Proposal[] {
  const { waits_for_keyring, held_up, owners_gone, missed } = proposals;
  const waits: Proposal[] = waits_for_keyring
    ? [
        {
          key: "waits",
          tone: "attention",
          what: t("overview.waits"),
          text: t("overview.waitsText"),
          href: href("changes"),
        },
      ]
    : [];
  return [
    ...waits,
    ...held_up.map((one) => heldUp(one, now)),
    ...owners_gone.map(ownerGone),
    ...missed.map(({ policy_id, policy, credentials }): Proposal => ({
      key: `missed-${policy_id}`,
      tone: "attention",
      what: t("overview.missed", { policy, count: credentials }),
      text: t("overview.missedText"),
      href: href("policies", policy_id),
    })),
  ];
}

/** "3 devices unreachable for 9 days hold up the change of 497": leads to the change without them. */
function heldUp({ credential_id, credential, devices, others }: HeldUp, now: Date): Proposal {
  const longest = Math.min(...devices.map((device) => new Date(device.since).getTime()));
  const days = Math.max(0, Math.floor((now.getTime() - longest) / DAY));
  return {
    key: `held-${credential_id}`,
    tone: "attention",
    what: t("overview.heldUp", { count: devices.length, days, others, credential }),
    text: t("overview.heldUpText"),
    href: href("credentials", credential_id, "change", { leave: devices.map((device) => device.device_id).join(",") }),
  };
}

function ownerGone({ person_id, person, credentials }: OwnerGone): Proposal {
  const ids = credentials.map((one) => one.credential_id);
  const [only] = ids;
  return {
    key: `owner-${person_id}`,
    tone: "attention",
    what: t("overview.ownerGone", { person, count: ids.length, credential: credentials[0]?.credential ?? "" }),
    text: t("overview.ownerGoneText"),
    href:
      ids.length === 1 && only !== undefined
        ? href("credentials", only, "change")
        : href("credentials", null, "change", { ids: ids.join(",") }),
  };
}
