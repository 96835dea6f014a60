import { afterEach, expect, test } from "vitest";

import { catalogue } from "../../messages/catalogue.svelte";
import { differs, fieldsOf, sent, wrongOf, wrongs } from "./fields";
import { deviceRow } from "./fixtures";

afterEach(() => catalogue.choose("en"));

const sound = { ...fieldsOf(null), name: "web-1", address: "192.0.2.1" };

test("a new device has the port of SSH and is enabled", () => {
  expect(fieldsOf(null)).toMatchObject({ port: "22", enabled: true, jump: null });
});

test("what a device has comes back as it was", () => {
  const device = deviceRow(4, { port: 2222, jump_id: 2, jump_with_id: 7, tags: ["a"], authorized_keys_path: "/k", enabled: false });
  expect(sent(fieldsOf(device))).toEqual({
    name: "web-4",
    address: "192.0.2.4",
    port: 2222,
    jump: 2,
    jump_with: 7,
    tags: ["a"],
    authorized_keys_path: "/k",
    enabled: false,
  });
});

test("a name and an address are needed", () => {
  expect(wrongs(sound)).toEqual({});
  expect(Object.keys(wrongs({ ...sound, name: " " }))).toEqual(["name"]);
  expect(Object.keys(wrongs({ ...sound, address: "" }))).toEqual(["address"]);
});

test.each(["", "0", "65536", "22a", "-1", "2.2", "1e3", "99999999999"])("“%s” is no port", (port) => {
  expect(wrongs({ ...sound, port }).port?.error).toContain(port);
});

test.each(["1", " 22 ", "65535"])("“%s” is a port", (port) => {
  expect(wrongs({ ...sound, port })).toEqual({});
  expect(sent({ ...sound, port }).port).toBe(Number(port));
});

test("what is wrong is said in the window's language", () => {
  catalogue.choose("pt-BR");
  expect(wrongs({ ...sound, port: "x" }).port).toEqual({
    error: "“x” não é uma porta.",
    hint: "Informe uma porta de 1 a 65535.",
  });
});

test("a credential for a jump device is sent only with a jump device", () => {
  expect(sent({ ...sound, jump: "2", jumpWith: "7" })).toMatchObject({ jump: 2, jump_with: 7 });
  expect(sent({ ...sound, jump: null, jumpWith: "7" })).toMatchObject({ jump: null, jump_with: null });
});

test("a report goes to its field, and one about no field of the form to none", () => {
  const report = { code: "jump-loop", message: "Back.", hint: "Choose.", subject: "web-1" };
  expect(wrongOf({ ...report, field: "jump" })).toEqual({ jump: { error: "Back.", hint: "Choose." } });
  expect(wrongOf({ ...report, field: "owner" })).toBeNull();
  expect(wrongOf(report)).toBeNull();
});

test("only what differs would be lost", () => {
  expect(differs(sound, { ...sound, tags: [] })).toBe(false);
  expect(differs(sound, { ...sound, tags: ["a"] })).toBe(true);
});
