import { expect, test } from "vitest";

import type { DeviceRow } from "../generated/DeviceRow";
import { plain, search, type Everything } from "./search";

const device = (id: number, name: string, address = `10.0.0.${id}`, tags: string[] = []) =>
  ({ id, name, address, tags }) as unknown as DeviceRow;

const everything = (devices: DeviceRow[]): Everything => ({ credentials: [], devices, people: [], changes: [], policies: [] });

test("a name that begins with the text comes before one that only has it", () => {
  const all = everything([device(1, "old-web"), device(2, "web-1"), device(3, "cobweb"), device(4, "db-1")]);
  expect(search(all, "web").map((hit) => hit.title)).toEqual(["web-1", "old-web", "cobweb"]);
});

test("a name comes before a tag or an address that has the text", () => {
  const all = everything([device(1, "db-1", "web.example.org"), device(2, "db-2", "x", ["web"]), device(3, "cobweb")]);
  expect(search(all, "web").map((hit) => hit.title)[0]).toBe("cobweb");
  expect(search(all, "web")).toHaveLength(3);
});

test("accents and case make no difference", () => {
  expect(plain("José ÇA")).toBe("jose ca");
  expect(search(everything([device(1, "São-Paulo")]), "sao").map((hit) => hit.address)).toEqual(["#/devices/1"]);
});

test("what is not there is not found, and no text finds nothing", () => {
  expect(search(everything([device(1, "web-1")]), "zzz")).toEqual([]);
  expect(search(everything([device(1, "web-1")]), "  ")).toEqual([]);
});
