import { expect, test, vi } from "vitest";

import { credential, report } from "../changes/testing";
import { Checks } from "./checks.svelte";
import { preset, requestOf } from "./choices";
import { checkingBackend, sent } from "./testing";

const row = credential();
const request = requestOf("rotate", row.id, preset(row), []);
if (request === null) throw new Error("the preset is no request");

function checks() {
  const stopCheck = vi.fn(() => Promise.resolve());
  const made = checkingBackend([row], { stopCheck });
  return { ...made, stopCheck, checks: new Checks(made.backend) };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 150));
const seen = (of: Checks) => [[...of.findings.keys()], [...of.asked]];

test("a restart leaves it to the new check to end the one before, whose findings count no more", async () => {
  const { checks: made, asked, stopCheck } = checks();
  void made.restart(request, [10, 20]);
  void made.restart(request, [10, 20]);
  expect(asked).toHaveLength(2);
  expect(stopCheck, "the new check could be what is stopped").not.toHaveBeenCalled();
  asked[0]?.send(sent(10));
  asked[0]?.end();
  asked[1]?.send(sent(20));
  await settle();
  expect(seen(made)).toEqual([[20], [10]]);
});

test("a device is checked again when what is under way has ended", async () => {
  const { checks: made, asked } = checks();
  void made.restart(request, [10, 20]);
  asked[0]?.send(sent(10, ["refused"]));
  await settle();
  void made.again(request, [10]);
  await settle();
  expect(asked, "it would end the check of the others").toHaveLength(1);
  expect(seen(made)[1]).toEqual([20, 10]);
  asked[0]?.send(sent(20));
  asked[0]?.end();
  await settle();
  expect(asked[1]?.only).toEqual([10]);
  asked[1]?.send(sent(10));
  asked[1]?.end();
  await settle();
  expect([made.findings.get(10)?.ready, made.running]).toEqual([true, false]);
});

test("what is stopped or breaks off leaves devices unchecked, and says why it broke off", async () => {
  const { checks: made, asked, stopCheck } = checks();
  void made.restart(request, [10, 20]);
  asked[0]?.send(sent(10));
  await settle();
  made.stop();
  expect(stopCheck).toHaveBeenCalledOnce();
  expect(seen(made)).toEqual([[10], []]);
  asked[0]?.end();
  await settle();
  void made.restart(request, [10]);
  asked[1]?.fail(report("vault-locked"));
  await settle();
  expect([made.error, made.running]).toEqual([report("vault-locked"), false]);
});

test("a stop withdraws what waits to be checked again", async () => {
  const { checks: made, asked } = checks();
  void made.restart(request, [10, 20]);
  void made.again(request, [10]);
  made.stop();
  asked[0]?.end();
  await settle();
  expect(asked).toHaveLength(1);
});
