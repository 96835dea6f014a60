import { parse, TYPE, type MessageFormatElement } from "@formatjs/icu-messageformat-parser";
import { afterEach, expect, test } from "vitest";

import { SENTENCES } from "../generated/sentences";
import type { Report } from "../generated/Report";
import { catalogue } from "./catalogue.svelte";
import errors from "./pt-BR/errors.json";
import { told } from "./told";

afterEach(() => catalogue.choose("en"));

const portuguese = errors as Record<string, string>;

const refused: Report = {
  code: "authentication-refused",
  message: "The device \"web-1\" refuses the login of \"root\".",
  hint: "Check that \"root\" exists there.",
  subject: "web-1",
  arguments: { device: "web-1", username: "root" },
};

function names(elements: MessageFormatElement[]): string[] {
  return elements.flatMap((element): string[] => {
    switch (element.type) {
      case TYPE.argument:
      case TYPE.number:
        return [element.value];
      case TYPE.select:
      case TYPE.plural:
        return [element.value, ...Object.values(element.options).flatMap((option) => names(option.value))];
      case TYPE.literal:
      case TYPE.pound:
        return [];
      default:
        throw new Error(`a sentence of the core has a part of a kind that is not filled: ${element.type}`);
    }
  });
}

test("every sentence of the core is there in Portuguese, and no other", () => {
  const wanted = Object.keys(SENTENCES).flatMap((name) => [`${name}.message`, `${name}.hint`]);
  expect(Object.keys(portuguese).sort()).toEqual(wanted.sort());
});

test("no Portuguese sentence names what the core does not fill it with", () => {
  for (const [key, text] of Object.entries(portuguese)) {
    const given = SENTENCES[key.slice(0, key.lastIndexOf("."))] ?? [];
    const known = given.flatMap((name) => [name, `${name}_word`]);
    const surplus = names(parse(text)).filter((name) => !known.includes(name));
    expect(surplus, key).toEqual([]);
  }
});

test("every sentence with another one inside of it says that one, too", () => {
  for (const [name, given] of Object.entries(SENTENCES)) {
    if (!given.includes("inner")) continue;
    expect(portuguese[`${name}.message`], name).toContain("{inner}");
  }
});

test("every Portuguese sentence is whole, and ends as one", () => {
  for (const [name, given] of Object.entries(SENTENCES)) {
    const filled = Object.fromEntries(given.map((argument) => [argument, "7"]));
    const inner = given.includes("inner") ? { inner: refused } : {};
    catalogue.choose("pt-BR");
    const { message, hint } = told({ code: name, message: "", hint: "", subject: null, arguments: filled, ...inner });
    for (const text of [message, hint]) {
      expect(text, name).toMatch(/[.”)]$/);
      expect(text, name).not.toMatch(/[{}!]/);
    }
  }
});

test("English is what the core says", () => {
  expect(told(refused)).toEqual({ message: refused.message, hint: refused.hint });
});

test("Portuguese is said with the same arguments", () => {
  catalogue.choose("pt-BR");
  expect(told(refused)).toEqual({
    message: "O dispositivo “web-1” recusa o login de “root”.",
    hint: "Confirme que “root” existe lá e que a chave ou senha dele é a atual.",
  });
});

test("a sentence stands inside of another one in the same language", () => {
  const full: Report = {
    code: "disk-full",
    message: "On the device \"web-1\", file /k: The disk is full.",
    hint: "Free some space on the device, then try again.",
    subject: "web-1",
    sentence: "on-device-file",
    arguments: { device: "web-1", path: "/k" },
    inner: { code: "disk-full", message: "The disk is full.", hint: "Free.", subject: null, sentence: "write-disk-full" },
  };
  catalogue.choose("pt-BR");
  expect(told(full)).toEqual({
    message: "No dispositivo “web-1”, arquivo /k: O disco está cheio.",
    hint: "Libere espaço no dispositivo e tente novamente.",
  });
});

test("a stable word with signs in it chooses its phrase", () => {
  const cut: Report = { ...refused, code: "connection-cut", arguments: { device: "web-1", during: "opening-sftp" } };
  catalogue.choose("pt-BR");
  expect(told(cut).message).toBe("A conexão com o dispositivo “web-1” caiu enquanto o SFTP era aberto.");
});

test("what looks like markup or a placeholder in an argument stays as it is", () => {
  catalogue.choose("pt-BR");
  const named = { ...refused, arguments: { device: "<b>{x}</b> '", username: "#" } };
  expect(told(named).message).toBe("O dispositivo “<b>{x}</b> '” recusa o login de “#”.");
});

test("what the catalogue does not know, or what fills it, leaves the core's own sentences", () => {
  catalogue.choose("pt-BR");
  const own = { message: refused.message, hint: refused.hint };
  expect(told({ ...refused, code: "of-a-newer-version" })).toEqual(own);
  expect(told({ ...refused, code: "constructor" })).toEqual(own);
  const { arguments: _, ...old } = refused;
  expect(told(old)).toEqual(own);
  const inner = { ...refused, code: "of-a-newer-version" };
  expect(told({ ...refused, sentence: "on-device", inner })).toEqual(own);
});
