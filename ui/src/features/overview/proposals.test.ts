import { expect, test } from "vitest";

import type { Proposals } from "../../generated/Proposals";
import { proposalLines } from "./proposals";

const NONE: Proposals = { waits_for_keyring: false, held_up: [], owners_gone: [], missed: [] };
const NOW = new Date("2026-11-24T12:00:00Z");

test("nothing is proposed while nothing is held up", () => {
  expect(proposalLines(NONE, NOW)).toEqual([]);
});

test("devices that hold up others are named by number and days, and one click goes on without them", () => {
  const away = (device_id: number, since: string) => ({ device_id, device: `web-${device_id}`, since });
  const devices = [away(3, "2026-11-20T12:00:00Z"), away(4, "2026-11-15T11:00:00Z"), away(9, "2026-11-23T12:00:00Z")];
  const held_up = [{ credential_id: 7, credential: "deploy", change: 12, devices, others: 497 }];
  const [line] = proposalLines({ ...NONE, held_up }, NOW);
  expect(line?.what).toBe("3 devices unreachable for 9 days hold up the change of 497 (deploy)");
  expect(line?.href).toBe("#/credentials/7/change?leave=3%2C4%2C9");
});

test("an owner who is gone leads to the change of what that person may still hold", () => {
  const owner = (ids: number[]) => ({
    person_id: 2,
    person: "Ana",
    since: "2026-11-20T12:00:00Z",
    credentials: ids.map((credential_id) => ({ credential_id, credential: `deploy-${credential_id}` })),
  });
  const lines = (ids: number[]) => proposalLines({ ...NONE, owners_gone: [owner(ids)] }, NOW).map((line) => [line.what, line.href]);
  expect(lines([1])).toEqual([["Ana is no longer active and may still hold the key of deploy-1", "#/credentials/1/change"]]);
  expect(lines([1, 5])).toEqual([
    ["Ana is no longer active and may still hold 2 keys", "#/credentials/change?ids=1%2C5"],
  ]);
});

test("a keyring that is waited for and a policy whose windows pass are said", () => {
  const missed = [{ policy_id: 1, policy: "Night", credentials: 2, since: "2026-11-20T12:00:00Z" }];
  expect(proposalLines({ ...NONE, waits_for_keyring: true, missed }, NOW).map((line) => line.what)).toEqual([
    "A key change is due and waits for the keyring",
    "The window of “Night” has passed three times without Keywheel running; 2 keys are due",
  ]);
});
