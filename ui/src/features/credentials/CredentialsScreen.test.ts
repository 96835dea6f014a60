import { render, screen, waitFor } from "@testing-library/svelte";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { router } from "../../app/router.svelte";
import { fakeBackend } from "../../backend/fake";
import CredentialsScreen from "./CredentialsScreen.svelte";
import WithBackend from "../../backend/WithBackend.svelte";
import { details, row } from "./sample";

// The pages of the neighbours have tests of their own; here it matters which is drawn, with what.
const drawn = vi.hoisted(() => vi.fn());
const page = vi.hoisted(
  () => (name: string) => ({ default: (_anchor: unknown, props: Record<string, unknown>) => drawn(name, { ...props }) as unknown }),
);
vi.mock("../form/CredentialFormPage.svelte", () => page("form"));
vi.mock("../change/ChangeKeyPage.svelte", () => page("change"));
vi.mock("../change/CompromisedPage.svelte", () => page("compromised"));
vi.mock("../change/ChangeKeysPage.svelte", () => page("changes"));

let stop: () => void = () => {};

beforeEach(() => drawn.mockReset());
afterEach(() => stop());

function at(hash: string) {
  window.history.replaceState(null, "", hash);
  stop = router.start();
  const backend = fakeBackend({
    credentials: () => Promise.resolve([row(), row({ id: 2, name: "backup", state: "interrupted" })]),
    credential: (id) => Promise.resolve(details({}, { id, name: id === 1 ? "deploy" : "backup" })),
  });
  return render(WithBackend, { backend, view: CredentialsScreen as never, given: {} });
}

test.each([
  ["#/credentials/new", "form", { id: null, copy: null }],
  ["#/credentials/1/edit", "form", { id: 1, copy: null }],
  ["#/credentials/1/copy", "form", { id: null, copy: 1 }],
  ["#/credentials/1/change", "change", { credential: 1, kind: "rotate", leave: [] }],
  ["#/credentials/1/change?leave=4,7", "change", { credential: 1, kind: "rotate", leave: [4, 7] }],
  ["#/credentials/1/install", "change", { credential: 1, kind: "install" }],
  ["#/credentials/1/compromised", "compromised", { credential: 1 }],
  ["#/credentials/change?ids=1,2", "changes", { credentials: [1, 2] }],
])("%s is the page %s", (hash, name, props) => {
  at(hash);
  expect(drawn).toHaveBeenCalledExactlyOnceWith(name, props);
});

test("the list alone is the list's address, and names the document", async () => {
  at("#/credentials?state=interrupted");
  expect(await screen.findByRole("row", { name: "backup" })).toBeTruthy();
  expect(screen.queryByRole("row", { name: "deploy" })).toBeNull();
  expect(drawn).not.toHaveBeenCalled();
  await waitFor(() => expect(document.title).toBe("Credentials · Keywheel"));
});

test("the list stays below a page, keeps its filter, and can't be reached there", async () => {
  at("#/credentials?state=interrupted");
  await screen.findByRole("row", { name: "backup" });
  router.go("credentials", 2);
  expect(await screen.findByRole("heading", { level: 1, name: "backup" })).toBeTruthy();
  expect(screen.queryByRole("grid", { name: "Credentials" }), "what lies below is read aloud").toBeNull();
  await waitFor(() => expect(document.title).toBe("backup · Keywheel"));
  press(new KeyboardEvent("keydown", { key: "Escape", cancelable: true }));
  await waitFor(() => expect(screen.getByRole("grid", { name: "Credentials" })).toBeTruthy());
  expect(screen.queryByRole("row", { name: "deploy" }), "the filter was lost").toBeNull();
});

test("another credential's page does not keep the one before", async () => {
  at("#/credentials/1");
  expect(await screen.findByRole("heading", { level: 1, name: "deploy" })).toBeTruthy();
  router.go("credentials", 2);
  expect(await screen.findByRole("heading", { level: 1, name: "backup" })).toBeTruthy();
  expect(screen.queryByRole("heading", { level: 1, name: "deploy" })).toBeNull();
});

test("Ctrl+N is a new credential", async () => {
  at("#/credentials");
  press(new KeyboardEvent("keydown", { key: "n", ctrlKey: true, cancelable: true }));
  await waitFor(() => expect(drawn).toHaveBeenCalledWith("form", { id: null, copy: null }));
});
