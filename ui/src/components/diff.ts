/** A unified diff of an `authorized_keys` file, line by line as it is shown. */
export interface DiffLine {
  kind: "added" | "removed" | "kept" | "gap";
  /** The options before the key type, as they stand in the file. */
  options: string;
  /** The rest of the line. */
  text: string;
}

const KEY_TYPE = /^(?:ssh-|ecdsa-|sk-|rsa-sha2-)[\w@.-]+\s/;

export function diffLines(diff: string): DiffLine[] {
  const lines: DiffLine[] = [];
  let inHunk = false;
  const raw = diff.split("\n");
  if (raw.at(-1) === "") raw.pop();
  for (const line of raw) {
    if (line.startsWith("@@")) {
      if (inHunk) lines.push({ kind: "gap", options: "", text: "" });
      inHunk = true;
    } else if (!inHunk && (line.startsWith("--- ") || line.startsWith("+++ "))) {
      continue;
    } else if (line.startsWith("+")) lines.push({ kind: "added", ...parted(line.slice(1)) });
    else if (line.startsWith("-")) lines.push({ kind: "removed", ...parted(line.slice(1)) });
    // "\ No newline at end of file" speaks of the file, not of a line in it.
    else if (!line.startsWith("\\")) lines.push({ kind: "kept", ...parted(line.slice(1)) });
  }
  return lines;
}

/** Parts a line of `authorized_keys` at its key type; sshd(8): options may hold blanks within double quotes only. */
export function parted(line: string): { options: string; text: string } {
  const whole = { options: "", text: line };
  const start = line.length - line.trimStart().length;
  if (line[start] === "#" || KEY_TYPE.test(line.slice(start))) return whole;
  let quoted = false;
  for (let at = start; at < line.length; at++) {
    const char = line[at];
    if (char === "\\" && line[at + 1] === '"') at++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && (char === " " || char === "\t")) {
      const rest = line.slice(at).trimStart();
      return KEY_TYPE.test(rest) ? { options: line.slice(0, line.length - rest.length), text: rest } : whole;
    }
  }
  return whole;
}
