import { screen, waitFor } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";

import { notices } from "../../app/notices.svelte";
import type { Backend } from "../../backend/backend";
import { catalogue } from "../../messages/catalogue.svelte";
import { shown } from "../changes/shown";
import { credential, finished, page } from "../changes/testing";
import ChangeKeysPage from "./ChangeKeysPage.svelte";
import { checkingBackend, sent } from "./testing";

afterEach(() => catalogue.choose("en"));

const rows = [
  credential({ id: 1, name: "deploy", device_ids: [10, 20] }),
  credential({ id: 2, name: "backup", device_ids: [30] }),
  credential({ id: 3, name: "other", device_ids: [40] }),
];

async function open(more: Partial<Backend> = {}) {
  const made = checkingBackend(rows, more);
  const drawn = shown(ChangeKeysPage, { credentials: [1, 2] }, made.backend);
  await screen.findByRole("heading", { level: 1, name: "Change keys now" });
  await waitFor(() => expect(made.asked).toHaveLength(1));
  return { ...made, ...drawn };
}

const main = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });

test("each credential is checked in its turn, and the button waits for all", async () => {
  const { asked } = await open();
  expect(screen.getByText("Change the keys of 2 credentials, one after the other")).toBeTruthy();
  expect(screen.queryByText("other"), "a credential that was not chosen is shown").toBeNull();
  expect(asked.map((check) => check.request.credential)).toEqual([1]);
  asked[0]?.send(sent(10));
  asked[0]?.send(sent(20));
  asked[0]?.end();
  await waitFor(() => expect(asked).toHaveLength(2));
  expect(screen.getByText("2 of 2 devices ready")).toBeTruthy();
  expect(main("Change keys of 2 credentials").disabled).toBe(true);
  asked[1]?.send(sent(30));
  asked[1]?.end();
  await waitFor(() => expect(main("Change keys of 2 credentials").disabled).toBe(false));
});

test("what is not ready can be left out; the rest is changed and its progress shown", async () => {
  const user = userEvent.setup();
  const beginChange = vi.fn(() => Promise.resolve(101));
  const { asked, container } = await open({ beginChange, change: () => Promise.resolve(page([])), stopChange: () => Promise.resolve() });
  asked[0]?.send(sent(10));
  asked[0]?.send(sent(20));
  asked[0]?.end();
  await waitFor(() => expect(asked).toHaveLength(2));
  asked[1]?.send(sent(30, ["unreachable"]));
  asked[1]?.end();
  await screen.findByText("unreachable happened.");
  expect(main("Change keys of 2 credentials").disabled).toBe(true);
  const rules = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
  expect((await axe.run(container, rules)).violations).toEqual([]);

  await user.click(screen.getByRole("button", { name: "Leave out the one that is not ready" }));
  await user.click(main("Change keys of 1 credential"));
  expect(beginChange).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ kind: "rotate", credential: 1 }));
  const link = await screen.findByRole("link", { name: "Open the change of deploy" });
  expect(link.getAttribute("href")).toBe("#/changes/101");
  expect(screen.getByRole("button", { name: "Stop" })).toBeTruthy();
  notices.hand({ notice: "change", ...finished("changed", []), change: 101 });
  expect(await screen.findByText("1 of 1 credential changed")).toBeTruthy();
  catalogue.choose("pt-BR");
  expect(await screen.findByText("1 de 1 credencial trocada")).toBeTruthy();
});

test("several are asked for at a time; one that can't be keeps none of the others from it", async () => {
  const user = userEvent.setup();
  const requestChange = vi.fn<Backend["requestChange"]>((request) =>
    request.credential === 1 ? Promise.reject(new Error("It has one already.")) : Promise.resolve(102),
  );
  await open({ requestChange });
  await user.click(screen.getByRole("radio", { name: "At…" }));
  await user.type(screen.getByRole("textbox", { name: "Begins at" }), "2999-12-24 22:00");
  await user.click(screen.getByRole("button", { name: /^Change 2 keys at .*2999/ }));
  expect(await screen.findByText("1 of 2 credentials are scheduled")).toBeTruthy();
  expect(screen.getByText("It has one already.")).toBeTruthy();
  expect(screen.getByText(/^Begins .*2999/)).toBeTruthy();
  expect(requestChange.mock.calls.map(([request, at]) => [request.credential, at])).toEqual(
    [1, 2].map((id) => [id, new Date(2999, 11, 24, 22).toISOString()]),
  );
});
