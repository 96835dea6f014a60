import { expect, test } from "vitest";

import type { Accepts } from "../../generated/Accepts";
import { details, finding, report, truth } from "./sample";
import { concern, lines, summed } from "./truth";

const answer = (device: string, version: number, word: string, by: "login" | "question" | null): Accepts => ({
  device_id: Number(device.split("-")[1]),
  device,
  versions: [{ version, fingerprint: `SHA256:key${version}`, answer: word, by, last: null }],
  error: null,
});

const LATER = "2026-04-01T10:00:00Z";
const EARLIER = "2026-02-01T10:00:00Z";

test("devices come in the order of change, then those that still have a key", () => {
  const all = lines(details({ truth: [truth(3, {}), truth(1, {}), truth(2, {}), truth(8, { 1: "accepted" })] }), null);
  expect(all.map((line) => [line.order, line.name, line.original])).toEqual([
    [1, "web-3", true],
    [2, "web-1", false],
    [3, "web-2", false],
    [null, "web-8", false],
  ]);
});

test("what is on record is shown with when it was proven", () => {
  const [first, second] = lines(details({ truth: [truth(3, { 1: "refused", 2: "accepted" }), truth(1, { 2: "refused" })] }), null);
  expect(first?.versions).toEqual([
    { version: 2, current: true, answer: "accepted", byQuestion: false },
    { version: 1, current: false, answer: "refused", byQuestion: false },
  ]);
  expect(first?.proven).toBe("2026-03-01T10:00:00Z");
  expect(second?.proven, "a refusal is taken for a proof").toBeNull();
});

test("fresh answers replace the record of their device, and only a login proves", () => {
  const answers = [answer("web-3", 2, "accepted", "login"), answer("web-1", 2, "accepted", "question")];
  const [first, second, third] = lines(details(), { at: LATER, answers });
  expect(first?.proven).toBe(LATER);
  expect(second?.proven, "a question is taken for a proof").toBe("2026-03-01T10:00:00Z");
  expect(second?.versions[0]?.byQuestion).toBe(true);
  expect(third?.versions[0]?.byQuestion, "a device that did not answer lost its record").toBe(false);
});

test("a fresh refusal replaces an acceptance on record", () => {
  const [first] = lines(details(), { at: LATER, answers: [answer("web-3", 2, "refused", "login")] });
  expect(first?.versions).toEqual([{ version: 2, current: true, answer: "refused", byQuestion: false }]);
});

test("what was proven since the question is the newer truth", () => {
  const [first] = lines(details(), { at: EARLIER, answers: [answer("web-3", 2, "refused", "login")] });
  expect(first?.versions[0]?.answer, "an old answer hides a newer proof").toBe("accepted");
});

test("a device that could not be asked keeps its record and says why", () => {
  const error = report("unreachable", "web-3 can't be reached.");
  const [first] = lines(details(), { at: LATER, answers: [{ device_id: 3, device: "web-3", versions: [], error }] });
  expect(first?.notAsked).toEqual(error);
  expect(first?.versions[0]?.answer).toBe("accepted");
});

test("a word that is neither acceptance nor refusal is not known", () => {
  const [first] = lines(details(), { at: LATER, answers: [answer("web-3", 2, "partly", null)] });
  expect(first?.versions[0]?.answer).toBe("unknown");
});

test("what needs a look comes first", () => {
  const [good, old, unknown] = lines(
    details({ truth: [truth(3, { 2: "accepted" }), truth(1, { 1: "accepted", 2: "accepted" }), truth(2, { 2: "unknown" })] }),
    null,
  );
  const order = [good, old, unknown].map((line) => (line === undefined ? -1 : concern(line)));
  expect(order).toEqual([4, 3, 2]);
});

test("findings are summed up with those that are not ready first, and nothing said of those that are fine", () => {
  const problem = report("key-refused", "web-2 refuses the key.");
  const warning = report("two-lines", "web-1 has two lines.");
  const found = summed([
    finding(3),
    finding(1, { warnings: [warning] }),
    finding(2, { ready: false, problems: [problem], warnings: [warning] }),
  ]);
  expect([found.ready, found.notReady]).toEqual([2, 1]);
  expect(found.troubles).toEqual([
    { device: 2, name: "web-2", reports: [problem, warning] },
    { device: 1, name: "web-1", reports: [warning] },
  ]);
});
