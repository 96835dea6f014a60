import { describe, expect, test } from "vitest";

import {
  algorithmName,
  ALGORITHMS,
  chooseDevices,
  chosenDevices,
  dropdownActive,
  emptyFields,
  fieldOf,
  fieldsOf,
  fieldsOfCopy,
  itselfActive,
  keyComment,
  lacksAuthentication,
  orderOfChange,
  presetPolicy,
  sameFields,
  strandedDevices,
  switchChange,
  switchItself,
  tabOf,
  toForm,
  type Fields,
} from "./rules";
import { policy } from "../policies/sample";
import { credential, details, device, person } from "./testing";

const POLICIES = [
  policy(4, "Nightly"),
  policy(7, "Standard"),
];

function fields(more: Partial<Fields> = {}): Fields {
  return { ...emptyFields("ssh-key", POLICIES), name: "web", username: "deploy", originalDevice: 2, ...more };
}

test("the algorithms have the names that product.md gives them", () => {
  expect(ALGORITHMS.map(algorithmName)).toEqual([
    "Ed25519",
    "ECDSA P-256",
    "ECDSA P-384",
    "ECDSA P-521",
    "RSA 2048",
    "RSA 3072",
    "RSA 4096",
  ]);
});

describe("automatic change", () => {
  test("switching it on sets the key itself", () => {
    expect(switchChange(true)).toEqual({ change: true, useItself: true, authWith: null });
  });

  test("switching it off leaves no way to connect, which Rust would refuse", () => {
    expect(switchChange(false)).toEqual({ change: false, useItself: false, authWith: null });
  });

  test("switching the key itself on clears the dropdown; off, it leaves it as it is", () => {
    const other = { change: true, useItself: false, authWith: 9 };
    expect(switchItself(other, true)).toEqual({ change: true, useItself: true, authWith: null });
    expect(switchItself(other, false)).toEqual(other);
  });

  test.each([
    [false, false, null, false, false, false],
    [true, true, null, true, false, false],
    [true, false, null, true, true, true],
    [true, false, 9, true, true, false],
  ])("change %s, itself %s, credential %s", (change, useItself, authWith, itself, dropdown, lacks) => {
    const automatic = { change, useItself, authWith };
    expect(itselfActive(automatic)).toBe(itself);
    expect(dropdownActive(automatic)).toBe(dropdown);
    expect(lacksAuthentication(automatic)).toBe(lacks);
  });
});

describe("the order of change", () => {
  test.each([
    [[], null, []],
    [[], 5, [5]],
    [[10, 9, 2], null, [2, 9, 10]],
    [[10, 9, 2], 9, [9, 2, 10]],
    [[10, 2], 9, [9, 2, 10]],
  ])("of %j with the original %s is %j", (chosen, original, order) => {
    expect(orderOfChange(new Set(chosen), original)).toEqual(order);
  });

  test("the original device is chosen without being ticked", () => {
    expect([...chosenDevices(new Set([1]), 2)]).toEqual([1, 2]);
    expect([...chosenDevices(new Set([1]), null)]).toEqual([1]);
  });

  test("an original device that was never ticked is not left behind, one that was stays", () => {
    expect([...chooseDevices(new Set([1]), new Set([1, 2, 3]), 2)]).toEqual([1, 3]);
    expect([...chooseDevices(new Set([1, 2]), new Set([1, 3]), 2)].sort()).toEqual([1, 2, 3]);
  });

  test("ten thousand devices are put in order within a frame's time", () => {
    const many = new Set(Array.from({ length: 10_000 }, (_, index) => 10_000 - index));
    const order = orderOfChange(many, 5_000);
    expect(order.slice(0, 3)).toEqual([5_000, 1, 2]);
    expect(order).toHaveLength(10_000);
  });
});

describe("what the form begins with", () => {
  test("a new one is enabled, changes on request, and has the policy Standard", () => {
    expect(emptyFields("ssh-key", POLICIES)).toMatchObject({ enabled: true, policy: 7, automatic: { change: false } });
    expect(presetPolicy([policy(4, "Nightly")])).toBe(4);
    expect(presetPolicy([])).toBeNull();
  });

  test("a saved one shows its way to connect only while it changes by itself", () => {
    const off = fieldsOf(credential(1, "web"));
    const itself = fieldsOf(credential(1, "web", { automatic_change: true }));
    const other = fieldsOf(credential(1, "web", { automatic_change: true, auth_with_id: 8 }));
    expect(off.automatic).toEqual({ change: false, useItself: false, authWith: null });
    expect(itself.automatic).toEqual({ change: true, useItself: true, authWith: null });
    expect(other.automatic).toEqual({ change: true, useItself: false, authWith: 8 });
  });

  test("a copy has another account, keeps the devices and is not given to somebody who is not active", () => {
    const row = credential(1, "web", { owner_id: 3, status: "disabled" });
    const copy = fieldsOfCopy(row, "web copy", [person(3, "Ana")]);
    expect(copy).toMatchObject({ name: "web copy", username: "", owner: 3, enabled: true, originalDevice: 2 });
    expect([...copy.devices]).toEqual([2, 1, 3]);
    expect(fieldsOfCopy(row, "web copy", [person(3, "Ana", { active: false })]).owner).toBeNull();
  });
});

describe("what Rust gets", () => {
  test("the devices in the order of change, with the original one", () => {
    expect(toForm(fields({ devices: new Set([10, 9]) }), { key: 5 })).toMatchObject({
      original_device: 2,
      devices: [2, 9, 10],
      secret: { key: 5 },
    });
  });

  test("a password never changes by itself, whatever was switched on before the kind was", () => {
    const automatic = { change: true, useItself: false, authWith: 9 };
    const off = { change: false, use_itself: false, auth_with: null };
    expect(toForm(fields({ automatic, kind: "password" }), null).automatic).toEqual(off);
    expect(toForm(fields({ automatic }), null).automatic).toEqual({ change: true, use_itself: false, auth_with: 9 });
  });

  test("names are handed on letter by letter", () => {
    for (const name of [`"quoted" 'name'`, "🔑 emoji", "\u05d0\u05d1", "<b>bold</b> & co"]) {
      expect(toForm(fields({ name }), null).name).toBe(name);
    }
  });
});

test("only what would be saved differently is a change", () => {
  const before = fields({ devices: new Set([1, 3]) });
  expect(sameFields(before, { ...before, devices: new Set([3, 1, 2]) }), "the same devices in another order").toBe(true);
  expect(sameFields(before, { ...before, devices: new Set([1]) })).toBe(false);
  expect(sameFields(before, { ...before, name: "web " })).toBe(false);
  expect(sameFields(before, { ...before, tags: ["prod"] })).toBe(false);
  expect(sameFields(before, { ...before, automatic: switchChange(true) })).toBe(false);
});

test.each([
  ["deploy", "web", "deploy@web"],
  ["", " web ", "web"],
  ["deploy", "", "deploy"],
  ["", "", ""],
])("the comment of %j and %j is %j", (username, name, comment) => {
  expect(keyComment(fields({ username, name }))).toBe(comment);
});

test("devices are asked about that are taken off while the key stands there, and no others", () => {
  const devices = [device(1, "web-1"), device(2, "web-2"), device(3, "web-3")];
  const before = details(credential(1, "web"), { username_fixed: ["web-1", "web-2"] });
  const edited = (chosen: number[], originalDevice = 2) =>
    strandedDevices(before, fields({ devices: new Set(chosen), originalDevice }), devices);
  expect(edited([1, 2, 3])).toEqual([]);
  expect(edited([1, 2]), "the key does not stand on web-3").toEqual([]);
  expect(edited([2])).toEqual([1]);
  expect(edited([3], 3)).toEqual([2, 1]);
});

test.each([
  ["name-taken", null, "name", "information"],
  ["anything", "username", "username", "information"],
  ["unknown-name", "original_device", "original_device", "information"],
  ["bad-tag", null, "tags", "information"],
  ["draft-gone", null, "key", "key"],
  ["wrong-passphrase", null, "passphrase", "key"],
  ["bad-password", "password", "password", "key"],
  ["authentication-missing", null, "auth_with", "additional"],
  ["password-never-changed", "automatic", "auth_with", "additional"],
  ["bad-hand-over", "owner", "owner", "additional"],
  ["key-stands", null, "devices", "devices"],
] as const)("%s with the field %s stands at %s on the tab %s", (code, field, place, tab) => {
  const found = fieldOf({ code, message: "", hint: "", subject: null, field });
  expect(found).toBe(place);
  expect(found === null ? null : tabOf(found)).toBe(tab);
});

test("what is about no field of the form stands at none", () => {
  for (const code of ["keyring-locked", "change-open", "constructor"]) {
    expect(fieldOf({ code, message: "", hint: "", subject: null, field: null })).toBeNull();
  }
  expect(fieldOf({ code: "x", message: "", hint: "", subject: null, field: "toString" })).toBeNull();
});
