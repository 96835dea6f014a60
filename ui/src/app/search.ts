import type { ChangeView } from "../generated/ChangeView";
import type { CredentialRow } from "../generated/CredentialRow";
import type { DeviceRow } from "../generated/DeviceRow";
import type { PersonRow } from "../generated/PersonRow";
import type { PolicyView } from "../generated/PolicyView";
import { href, type Screen } from "./router.svelte";

/** Something that was found. */
export interface Hit {
  screen: Screen;
  key: string;
  title: string;
  detail: string;
  address: string;
}

/** All that can be searched. */
export interface Everything {
  credentials: readonly CredentialRow[];
  devices: readonly DeviceRow[];
  people: readonly PersonRow[];
  changes: readonly ChangeView[];
  policies: readonly PolicyView[];
}

/** How many of a kind are shown: more is no answer. */
const EACH = 8;

/** Lower case and without accents, so that "jose" finds "José". */
export function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{Mark}/gu, "").toLowerCase();
}

/** How well a text answers: 0 begins with it, 1 has a word that begins with it, 2 has it somewhere; null not at all. */
function rank(text: string, wanted: string): number | null {
  const at = plain(text).indexOf(wanted);
  if (at < 0) return null;
  if (at === 0) return 0;
  return /[\p{Letter}\p{Number}]/u.test(plain(text).charAt(at - 1)) ? 2 : 1;
}

function best<Thing>(things: readonly Thing[], texts: (thing: Thing) => string[], wanted: string): Thing[] {
  const ranked: { thing: Thing; rank: number }[] = [];
  for (const thing of things) {
    let found: number | null = null;
    texts(thing).forEach((text, index) => {
      const here = rank(text, wanted);
      // The first text is the name; what is found only elsewhere comes after.
      if (here !== null) found = Math.min(found ?? Infinity, here + (index === 0 ? 0 : 3));
    });
    if (found !== null) ranked.push({ thing, rank: found });
  }
  ranked.sort((a, b) => a.rank - b.rank);
  return ranked.slice(0, EACH).map(({ thing }) => thing);
}

/** Searches names, accounts, addresses, tags and fingerprints. */
export function search(all: Everything, text: string): Hit[] {
  const wanted = plain(text.trim());
  if (wanted === "") return [];
  const hit = (screen: Screen, id: number, title: string, detail: string): Hit => ({
    screen,
    key: `${screen}-${id}`,
    title,
    detail,
    address: href(screen, id),
  });
  return [
    ...best(
      all.credentials,
      (it) => [it.name, it.username, ...it.tags, ...it.key_versions.map((version) => version.fingerprint)],
      wanted,
    ).map((it) => hit("credentials", it.id, it.name, it.username)),
    ...best(all.devices, (it) => [it.name, it.address, String(it.id), ...it.tags], wanted).map((it) =>
      hit("devices", it.id, it.name, it.address),
    ),
    ...best(all.people, (it) => [it.name, it.email ?? ""], wanted).map((it) =>
      hit("people", it.id, it.name, it.email ?? ""),
    ),
    ...best(all.changes, (it) => [String(it.id), it.credential], wanted).map((it) =>
      hit("changes", it.id, it.credential, `${it.id}`),
    ),
    ...best(all.policies, (it) => [it.name], wanted).map((it) => hit("policies", it.id, it.name, "")),
  ];
}
