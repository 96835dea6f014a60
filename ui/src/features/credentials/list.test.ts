import { expect, test } from "vitest";

import { dateOf } from "../../components/calendar";
import { choices, fromQuery, isFiltered, NO_FILTERS, numbers, ORDERS, shown, type Filters } from "./list";
import { row } from "./sample";

const ana = row({ id: 1, name: "deploy", state: "on-request" });
const joao = row({
  id: 2,
  name: "Backup José",
  username: "backup",
  owner: null,
  owner_id: null,
  state: "interrupted",
  tags: ["staging"],
  original_device: "db-1",
  devices: ["db-1"],
  device_ids: [9],
  original_device_id: 9,
});
const password = row({ id: 3, name: "root", kind: "password", algorithm: null, key_created: null, key_versions: [], state: "up-to-date", tags: [] });
const rows = [ana, joao, password];

const ids = (filters: Partial<Filters>) => shown(rows, { ...NO_FILTERS, ...filters }).map((found) => found.id);

test("without filters all is shown", () => {
  expect(ids({})).toEqual([1, 2, 3]);
  expect(isFiltered(NO_FILTERS)).toBe(false);
});

test("the search finds names without accents, several words in any order, fingerprints, and not what is absent", () => {
  expect(ids({ search: "jose" })).toEqual([2]);
  expect(ids({ search: "  DB-1 backup " })).toEqual([2]);
  expect(ids({ search: "sha256:key2" })).toEqual([1, 2]);
  expect(ids({ search: "jose production" }), "one word of two is enough").toEqual([]);
});

test("each filter lets through what was chosen in it, and all of them must", () => {
  expect(ids({ states: ["interrupted", "up-to-date"] })).toEqual([2, 3]);
  expect(ids({ owners: ["7"] })).toEqual([1, 3]);
  expect(ids({ owners: ["none"] })).toEqual([2]);
  expect(ids({ tags: ["production"] })).toEqual([1]);
  expect(ids({ devices: ["9"] })).toEqual([2]);
  expect(ids({ devices: ["9"], owners: ["7"] })).toEqual([]);
});

test("what a chart leads to is what its bar has counted", () => {
  const days = (count: number) => new Date(Date.now() - count * 86_400_000).toISOString();
  const keys = [
    row({ id: 1, algorithm: "rsa-3072", key_created: days(100) }),
    row({ id: 2, algorithm: "ed25519", key_created: days(3) }),
    password,
  ];
  const found = (query: Record<string, string>) =>
    shown(keys, fromQuery(query) ?? NO_FILTERS).map((each) => each.id);
  expect(found({ age: "91-180" })).toEqual([1]);
  expect(found({ age: "0-30" }), "a password has no key").toEqual([2]);
  expect(found({ algorithm: "rsa-3072" })).toEqual([1]);
  expect(fromQuery({ age: "7-9" }), "there is no such step").toBeNull();
});

test("what Overview and a policy lead to is what they have counted", () => {
  const inDays = (count: number) => new Date(Date.now() + count * 86_400_000).toISOString();
  const next = (id: number, days: number, standing: "up-to-date" | "due" | "overdue") =>
    row({ id, next_change: inDays(days), next_change_standing: standing, policy_id: id });
  const keys = [next(1, -9, "overdue"), next(2, -1, "due"), next(3, 6, "up-to-date"), next(4, 8, "up-to-date"), ana, password];
  const found = (query: Record<string, string>) => shown(keys, fromQuery(query) ?? NO_FILTERS).map((each) => each.id);
  expect(found({ due: "overdue" })).toEqual([1]);
  expect(found({ due: "week" })).toEqual([2, 3]);
  expect(found({ coming: dateOf(new Date()) }), "what is late changes today").toEqual([1, 2]);
  expect(found({ coming: dateOf(inDays(8)) })).toEqual([4]);
  expect(found({ policy: "3,4" })).toEqual([3, 4]);
  expect(fromQuery({ due: "never", coming: "soon", policy: "Standard" })).toBeNull();
});

test("the next change sorts by time, and what is changed on request comes last", () => {
  const at = (id: number, next_change: string | null) => row({ id, next_change });
  const rows = [at(1, null), at(2, "2027-03-03T10:00:00.5Z"), at(3, "2027-03-03T10:00:00Z")];
  expect(rows.sort(ORDERS.next).map((it) => it.id)).toEqual([3, 2, 1]);
});

test("an address sets the filters that it names, and only states that exist", () => {
  expect(fromQuery({ state: "interrupted,partly-changed" })).toEqual({ ...NO_FILTERS, states: ["interrupted", "partly-changed"] });
  expect(fromQuery({ owner: "none", tag: "a, b", device: "4" })).toEqual({
    ...NO_FILTERS,
    owners: ["none"],
    tags: ["a, b"],
    devices: ["4"],
  });
  expect(fromQuery({ state: "fine" }), "a filter nobody can see hides everything").toBeNull();
  expect(fromQuery({})).toBeNull();
});

test("the choices count the credentials they stand for", () => {
  const offered = choices(rows, "No owner");
  expect(offered.states.map(({ value, count }) => [value, count])).toEqual([
    ["interrupted", 1],
    ["on-request", 1],
    ["up-to-date", 1],
  ]);
  expect(offered.owners).toEqual([
    { value: "7", label: "Ana Souza", count: 2 },
    { value: "none", label: "No owner", count: 1 },
  ]);
  expect(offered.devices.find(({ value }) => value === "9")).toEqual({ value: "9", label: "db-1", count: 1 });
});

test("columns sort as people count, and what is empty comes last", () => {
  const names = (...list: string[]) => list.map((name) => row({ name })).sort(ORDERS.name).map((it) => it.name);
  expect(names("web-10", "web-2", "Web-1")).toEqual(["Web-1", "web-2", "web-10"]);
  expect([...rows].sort(ORDERS.state).map((it) => it.id)).toEqual([2, 1, 3]);
  expect([...rows].sort(ORDERS.owner).at(-1)?.id).toBe(2);
  const young = row({ id: 8, key_created: "2026-06-01T00:00:00Z" });
  expect([password, ana, young].sort(ORDERS.age).map((it) => it.id), "the youngest key first, none last").toEqual([8, 1, 3]);
});

test("2,000 credentials with 500 devices each are filtered and counted", () => {
  const device_ids = Array.from({ length: 500 }, (_, index) => index);
  const many = Array.from({ length: 2000 }, (_, id) => row({ id, device_ids, devices: device_ids.map((it) => `d${it}`) }));
  expect(shown(many, { ...NO_FILTERS, search: "deploy", devices: ["499"] })).toHaveLength(2000);
  expect(shown(many, { ...NO_FILTERS, devices: ["500"] })).toHaveLength(0);
  expect(choices(many, "").devices).toHaveLength(500);
});

test("an address names IDs, and nothing else is taken for one", () => {
  expect(numbers("3,1,x,,2")).toEqual([3, 1, 2]);
  expect(numbers(undefined)).toEqual([]);
});
