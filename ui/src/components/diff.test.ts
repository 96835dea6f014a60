import { render, screen } from "@testing-library/svelte";
import { expect, test } from "vitest";

import { diffLines, parted } from "./diff";
import DiffView from "./DiffView.svelte";

const diff = [
  "--- /root/.ssh/authorized_keys",
  "+++ /root/.ssh/authorized_keys",
  "@@ -1,2 +1,2 @@",
  " # admins",
  '-from="10.0.0.0/8",command="echo \\"a b\\"" ssh-ed25519 AAAA old',
  '+from="10.0.0.0/8",command="echo \\"a b\\"" ssh-ed25519 BBBB new',
  "@@ -9 +9 @@",
  "--- not a header",
  "\\ No newline at end of file",
  "",
].join("\n");

test("a diff is read line by line, its headers left out, its hunks apart", () => {
  expect(diffLines(diff).map((line) => line.kind)).toEqual(["kept", "removed", "added", "gap", "removed"]);
  expect(diffLines(diff).at(-1)?.text, "a removed line that begins with dashes is taken for a header").toBe("-- not a header");
  expect(diffLines("")).toEqual([]);
});

test("options are told from the key, quoted blanks and quotes and all", () => {
  expect(parted('command="echo \\"a b\\"",no-pty ssh-rsa AAAA me')).toEqual({
    options: 'command="echo \\"a b\\"",no-pty ',
    text: "ssh-rsa AAAA me",
  });
  for (const line of ["ssh-ed25519 AAAA me", "# command ssh-rsa AAAA", "", 'command="open ssh-rsa AAAA', "words only here"]) {
    expect(parted(line), line).toEqual({ options: "", text: line });
  }
});

test("added and removed lines are said in words, and the rest is counted", () => {
  render(DiffView, { diff, untouched: 12, path: "/root/.ssh/authorized_keys" });

  const lines = screen.getAllByRole("listitem").map((item) => item.textContent?.replace(/\s+/g, " "));
  expect(lines.some((line) => line?.includes("Removed:") && line.includes("AAAA old"))).toBe(true);
  expect(lines.some((line) => line?.includes("Added:") && line.includes("BBBB new"))).toBe(true);
  expect(screen.getByText("12 lines untouched")).toBeTruthy();
  expect(screen.getByRole("list", { name: "/root/.ssh/authorized_keys" })).toBeTruthy();
});

test("a file in which nothing changes says so", () => {
  render(DiffView, { diff: "", path: "/root/.ssh/authorized_keys" });

  expect(screen.getByText("Nothing changes in this file")).toBeTruthy();
});
