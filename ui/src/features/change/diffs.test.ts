import { expect, test } from "vitest";

import type { Found } from "./checks";
import { groupDiffs, keyOptions } from "./diffs";

const OLD = "ssh-ed25519 AAAAold deploy";

function finding(id: number, ...added: string[]): Found {
  const path = `/home/user-${id}/.ssh/authorized_keys`;
  const hunk = added.map((line) => `+${line}`).join("\n");
  const diff = added.length === 0 ? "" : `--- ${path}\n+++ ${path}\n@@ -1 +1,2 @@\n ${OLD}\n${hunk}\n`;
  return {
    id,
    ready: true,
    problems: [],
    warnings: [],
    files: [{ path, diff, added: added.length, removed: 0, untouched: 3 }],
    others: [],
  };
}

test("equal changes are one group, whatever their paths and comments", () => {
  const groups = groupDiffs([
    finding(1, "ssh-ed25519 AAAAnew deploy"),
    finding(2, "ssh-ed25519 AAAAnew deploy@two"),
    finding(3, 'from="10.0.0.0/8" ssh-ed25519 AAAAnew deploy'),
  ]);
  expect(groups).toEqual([
    { devices: [1, 2], lines: 1, options: "none" },
    { devices: [3], lines: 1, options: "same" },
  ]);
});

test("other options or another number of lines are another group", () => {
  const option = (value: string) => `from="${value}" ssh-ed25519 AAAAnew deploy`;
  expect(groupDiffs([finding(1, option("10.0.0.1")), finding(2, option("10.0.0.2"))])).toHaveLength(2);
  expect(groupDiffs([finding(1, OLD), finding(2, OLD, OLD)])).toHaveLength(2);
  expect(groupDiffs([finding(1, option("a"), OLD)])[0]).toMatchObject({ lines: 2, options: "various" });
});

test("the largest group comes first, and devices without a change are in none", () => {
  const groups = groupDiffs([finding(1, `restrict ${OLD}`), finding(2, OLD), finding(3, OLD), finding(4)]);
  expect(groups.map((group) => group.devices)).toEqual([[2, 3], [1]]);
});

test("an added line that looks like a diff's head is a line", () => {
  expect(groupDiffs([finding(1, '++ ssh-ed25519 AAAA x')])[0]).toMatchObject({ lines: 1 });
});

test.each([
  ["ssh-ed25519 AAAA c", ""],
  ["  ecdsa-sha2-nistp256 AAAA", ""],
  ["no-pty ssh-rsa AAAA", "no-pty"],
  ['command="echo \\"a b\\" c",no-pty\tssh-rsa AAAA', 'command="echo \\"a b\\" c",no-pty'],
])("the options of %s", (line, options) => {
  expect(keyOptions(line)).toBe(options);
});
