import { expect, test } from "vitest";

import { attention } from "./attention";
import { change, credential, device } from "./sample";

test("nothing needs attention while all is well", () => {
  const credentials = [credential(1), credential(2, { state: "up-to-date" }), credential(3, { state: "disabled" })];
  const changes = [change(1), change(2, { state: "rolled-back" }), change(3, { state: "running" })];
  expect(attention([device(1)], credentials, changes)).toEqual([]);
});

test("one of a kind is named and leads to its page", () => {
  const lines = attention(
    [device(4, { host_key_state: "changed" }), device(5, { host_key_state: "none" })],
    [
      credential(1, { state: "partly-changed" }),
      credential(2, { state: "last-change-failed" }),
      credential(3, { state: "not-ready" }),
    ],
    [
      change(7, { state: "interrupted", credential: "root" }),
      change(8, { state: "partly-changed", credential_id: 1 }),
      change(9, { state: "partly-changed", credential_id: 1 }),
      change(10, { state: "failed", credential_id: 1 }),
    ],
  );
  expect(lines.map(({ trouble, count, name, href }) => [trouble, count, name, href])).toEqual([
    ["interrupted", 1, "root", "#/changes/7"],
    ["partly", 1, "deploy-1", "#/changes/9"],
    ["failed", 1, "deploy-2", "#/credentials/2"],
    ["hostKeyChanged", 1, "web-4", "#/devices/4"],
    ["notReady", 1, "deploy-3", "#/credentials/3"],
    ["unpinned", 1, "web-5", "#/devices/5"],
  ]);
});

test("several of a kind are one line that leads to the list of just these", () => {
  const both = <Thing>(thing: (id: number) => Thing) => [thing(1), thing(2)];
  const lines = attention(
    [
      ...both((id) => device(id, { host_key_state: "changed" })),
      ...both((id) => device(id + 2, { host_key_state: "none" })),
      device(9, { host_key_state: "none", enabled: false }),
    ],
    [
      ...both((id) => credential(id, { state: "partly-changed" })),
      ...both((id) => credential(id + 2, { state: "last-change-failed" })),
      ...both((id) => credential(id + 4, { state: "not-ready" })),
    ],
    both((id) => change(id, { state: "interrupted" })),
  );
  expect(lines.map((line) => line.count)).toEqual([2, 2, 2, 2, 2, 2]);
  expect(lines.map((line) => line.href)).toEqual([
    "#/changes?state=interrupted",
    "#/credentials?state=partly-changed",
    "#/credentials?state=last-change-failed",
    "#/devices?state=changed",
    "#/credentials?state=not-ready",
    "#/devices?state=none&status=enabled",
  ]);
});

test("keys that are overdue or due within seven days are told, whatever else their state says", () => {
  const now = new Date("2026-11-24T12:00:00Z");
  const due = (id: number, next_change: string, more: Partial<ReturnType<typeof credential>> = {}) =>
    credential(id, { next_change, next_change_standing: "up-to-date", ...more });
  const credentials = [
    due(1, "2026-11-20T12:00:00Z", { next_change_standing: "overdue", state: "last-change-failed" }),
    due(2, "2026-11-24T11:00:00Z", { next_change_standing: "due", state: "due" }),
    due(3, "2026-12-01T12:00:00Z"),
    due(4, "2026-12-01T12:00:01Z"),
  ];
  const lines = attention([], credentials, [], now);
  expect(lines.map(({ trouble, count, href }) => [trouble, count, href])).toEqual([
    ["failed", 1, "#/credentials/1"],
    ["overdue", 1, "#/credentials/1"],
    ["dueSoon", 2, "#/credentials?due=week"],
  ]);
});

test("a failed change that a later one made good is history", () => {
  const changes = [change(1, { state: "failed" }), change(2, { state: "partly-changed" }), change(3)];
  expect(attention([], [credential(1)], changes)).toEqual([]);
});
