import { afterEach, expect, test } from "vitest";

import type { ChangeKind } from "../../generated/ChangeKind";
import type { DeviceState } from "../../generated/DeviceState";
import type { Event } from "../../generated/Event";
import type { Outcome } from "../../generated/Outcome";
import type { Said } from "../../generated/Said";
import { catalogue } from "../../messages/catalogue.svelte";
import { page, record, report, stage } from "./testing";
import { begin, fold, type Row } from "./track";
import { changeState, endSentence, rowWords, saidWords, whereabouts } from "./words";

afterEach(() => catalogue.choose("en"));

const track = (states: DeviceState[], kind: ChangeKind = "rotate") => begin(page(states, { kind, state: "changed" }));
const twelve = Array.from({ length: 12 }, (): DeviceState => "changed");

test.each<[ChangeKind, Outcome, DeviceState[], string]>([
  ["rotate", "changed", twelve, "12 of 12 devices accept the new key and refuse the old"],
  ["rotate", "changed", ["changed"], "1 of 1 device accepts the new key and refuses the old"],
  ["rotate", "partly-changed", ["changed", "failed"], "Only 1 of 2 devices accept the new key and refuse the old"],
  ["rotate", "interrupted", ["proven", "waiting"], "Not finished: 0 of 2 devices accept the new key and refuse the old"],
  ["rotate", "rolled-back", ["rolled-back", "unchanged"], "Everything was taken back: 1 of 2 devices is proven on the old key"],
  ["rotate", "rolled-back", ["unchanged"], "Everything was taken back: nothing was written on any device"],
  ["rotate", "rolled-back", ["rolled-back", "rolled-back"], "Everything was taken back: the 2 devices are proven on the old key"],
  ["rotate", "failed", ["unchanged"], "Nothing was changed: it ended before anything was written; the old key logs in as before"],
  ["install", "changed", ["changed", "changed"], "2 of 2 devices accept the key"],
  ["install", "failed", ["unchanged"], "Nothing was installed: it ended before anything was written"],
  ["uninstall", "changed", ["changed", "changed"], "2 of 2 devices refuse the key"],
  ["undo", "changed", ["changed", "changed"], "2 of 2 devices accept the key from before and refuse the other"],
])("the end of %s as %s says no more than the devices do", (kind, outcome, states, expected) => {
  expect(endSentence(track(states, kind), outcome)).toBe(expected);
});

test("ends are told in Portuguese, too", () => {
  catalogue.choose("pt-BR");
  expect(endSentence(track(twelve), "changed")).toBe("12 de 12 dispositivos aceitam a nova chave e recusam a antiga");
  expect(endSentence(track(["changed", "failed"]), "partly-changed")).toMatch(/^Apenas 1 de 2/);
});

test("what is where counts every device once", () => {
  const states: DeviceState[] = ["changed", "changed", "proven", "old-key-accepted", "waiting", "failed"];
  expect(whereabouts(track(states))).toBe(
    "2 devices are on the new key only, 2 devices accept both keys, 1 device is as before, and 1 device could not be proven",
  );
  expect(whereabouts(track(["waiting"]))).toBe("1 device is as before");
});

test("a state is told as what it means for the kind of change", () => {
  expect(changeState("changed", "install")).toBe("Installed");
  expect(changeState("partly-changed", "uninstall")).toBe("Partly removed");
  expect(changeState("rolled-back", "install")).toBe("Rolled back");
  expect(changeState("interrupted")).toBe("Interrupted");
});

test("a device says what it does, at which stage it failed, and what it accepts", () => {
  const rows = begin(
    page([], {
      records: [
        record(1, "running", { stage: "prove" }),
        record(2, "failed", { stage: "add" }),
        record(3, "unchanged", { error: report("left-out") }),
        record(4, "proven"),
      ],
    }),
  ).rows;
  expect(rows.map((row) => rowWords(row, "rotate"))).toEqual([
    "Logging in with the new key",
    "Failed at add",
    "Left out",
    "Accepts both keys",
  ]);
});

/** The row of a device of whose stage this was told. */
function row(detail: string, said?: Said): Row {
  const event = { ...stage(1, "check", "done", 1, detail), ...(said === undefined ? {} : { said }) } as Event;
  const [first] = fold(page(["waiting"]), [event]).rows;
  if (first === undefined) throw new Error("the page has no row");
  return first;
}

test.each<[Said, string, string]>([
  [{ what: "connecting" }, "connecting", "conectando"],
  [{ what: "found", lines: 1, files: 2 }, "1 line in 2 files", "1 linha em 2 arquivos"],
  [{ what: "added", lines: 0 }, "it stands there already", "ela já está lá"],
  [{ what: "removed", lines: 3 }, "3 lines", "3 linhas"],
  [{ what: "old-refused" }, "the old key is refused, the new one logs in", "a chave antiga é recusada, a nova faz login"],
])("what a stage says of itself is said in both languages: %o", (said, english, portuguese) => {
  expect(saidWords(row(english, said))).toBe(english);
  catalogue.choose("pt-BR");
  expect(saidWords(row(english, said))).toBe(portuguese);
});

test("what a stage says in words of its own is shown as it is", () => {
  catalogue.choose("pt-BR");
  expect(saidWords(row("something new"))).toBe("something new");
});
