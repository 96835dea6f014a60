import { render, screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { unsaved } from "../../app/guard.svelte";
import { press } from "../../app/keys";
import { router } from "../../app/router.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { PersonRow } from "../../generated/PersonRow";
import { catalogue } from "../../messages/catalogue.svelte";
import { report } from "../devices/fixtures";
import WithBackend from "../../backend/WithBackend.svelte";
import { filtered, heirs } from "./list";
import PeopleScreen from "./PeopleScreen.svelte";

let stop: () => void;
beforeEach(() => {
  window.location.hash = "#/people";
  stop = router.start();
});
afterEach(() => {
  stop();
  unsaved.answer(false);
  catalogue.choose("en");
});

const person = (id: number, name: string, given: Partial<PersonRow> = {}): PersonRow => ({
  id,
  name,
  email: null,
  active: true,
  credentials: [],
  ...given,
});
const PEOPLE = [
  person(1, "Ana", { email: "ana@example.org", credentials: ["deploy", "backup"] }),
  person(2, "José", { active: false }),
  person(3, "Bia"),
];

function opened(people = PEOPLE, more: Partial<Backend> = {}) {
  const savePerson = vi.fn<Backend["savePerson"]>((id, form) => Promise.resolve(person(id ?? 9, form.name)));
  const removePerson = vi.fn<Backend["removePerson"]>(() => Promise.resolve());
  const backend = fakeBackend({
    people: () => Promise.resolve(people),
    savePerson,
    removePerson,
    copy: () => Promise.resolve(),
    ...more,
  });
  render(WithBackend, { backend, view: PeopleScreen });
  return { user: userEvent.setup(), savePerson, removePerson };
}

const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
const shown = () =>
  screen
    .getAllByRole("row")
    .slice(1)
    .map((row) => row.getAttribute("aria-label"));
const removing = async (user: ReturnType<typeof userEvent.setup>, name: string) => {
  await user.click(await screen.findByRole("button", { name: `Remove ${name}` }));
  return screen.findByRole("dialog", { name: `Remove ${name}?` });
};

test("people are found by name, e-mail and what they own, with or without accents", () => {
  const names = (text: string, statuses: string[] = []) => filtered(PEOPLE, text, statuses).map((row) => row.name);
  expect(names("jose")).toEqual(["José"]);
  expect(names("EXAMPLE.org")).toEqual(["Ana"]);
  expect(names("backup")).toEqual(["Ana"]);
  expect(names("", ["inactive"])).toEqual(["José"]);
  expect(names("a", ["active"])).toEqual(["Ana", "Bia"]);
  expect(filtered(PEOPLE, "", [])).toBe(PEOPLE);
});

test("only another active person inherits", () => {
  expect(heirs(PEOPLE, PEOPLE[0]!).map((row) => row.name)).toEqual(["Bia"]);
});

test("an empty list teaches the first step", async () => {
  const { user } = opened([]);
  expect(await screen.findByRole("heading", { name: "No people yet" })).toBeTruthy();
  await user.click(button("New person"));
  expect(await screen.findByRole("dialog", { name: "New person" })).toBeTruthy();
});

test("the list says who is active and what each owns", async () => {
  opened();
  const ana = await screen.findByRole("row", { name: "Ana" });
  expect(within(ana).getByText("Active")).toBeTruthy();
  expect(within(ana).getByText("deploy, backup")).toBeTruthy();
  expect(within(screen.getByRole("row", { name: "José" })).getByText("Inactive")).toBeTruthy();
});

test("an address sets the filter", async () => {
  router.replace("people", null, null, { status: "inactive" });
  opened();
  await screen.findByRole("grid");
  expect(shown()).toEqual(["José"]);
});

test("Ctrl+N adds a person", async () => {
  const { user, savePerson } = opened();
  await screen.findByRole("grid");
  press(new KeyboardEvent("keydown", { key: "n", ctrlKey: true }));
  await user.type(await screen.findByRole("textbox", { name: "Name" }), "Caio");
  await user.type(screen.getByRole("textbox", { name: "E-mail" }), "caio@example.org");
  await user.keyboard("{Control>}s{/Control}");
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(savePerson).toHaveBeenCalledExactlyOnceWith(null, { name: "Caio", email: "caio@example.org", active: true });
  expect(window.location.hash).toBe("#/people");
});

test("a person needs a name, and an error of the core stands at its field", async () => {
  const bad = new BackendError(report({ message: "“x” is no e-mail address.", field: "email" }));
  router.replace("people", 3);
  const { user } = opened(PEOPLE, { savePerson: () => Promise.reject(bad) });
  const name = await screen.findByRole<HTMLInputElement>("textbox", { name: "Name" });
  await user.clear(name);
  await user.click(button("Save"));
  expect(name.getAttribute("aria-invalid")).toBe("true");
  await user.type(name, "Bia");
  await user.click(button("Save"));
  await screen.findByText("“x” is no e-mail address.");
  expect(screen.getByRole("textbox", { name: "E-mail" }).getAttribute("aria-invalid")).toBe("true");
  expect(name.getAttribute("aria-invalid")).toBeNull();
});

test("what was entered is asked about before it is left, and kept when the answer is to stay", async () => {
  router.replace("people", 3);
  const { user } = opened();
  await user.type(await screen.findByRole("textbox", { name: "Name" }), "nca");
  router.go("people");
  await waitFor(() => expect(unsaved.asking).toBe(true));
  unsaved.answer(false);
  expect((await screen.findByRole<HTMLInputElement>("textbox", { name: "Name" })).value).toBe("Bianca");
});

test("who owns nothing is removed after a question", async () => {
  const { user, removePerson } = opened();
  const dialog = await removing(user, "Bia");
  expect(removePerson).not.toHaveBeenCalled();
  expect(within(dialog).queryByRole("radio"), "there is nothing to hand over").toBeNull();
  await user.click(within(dialog).getByRole("button", { name: "Remove" }));
  await waitFor(() => expect(removePerson).toHaveBeenCalledExactlyOnceWith(3, null));
});

test("who owns credentials is removed only after somebody gets them", async () => {
  const { user, removePerson } = opened();
  const dialog = await removing(user, "Ana");
  expect(dialog.textContent).toContain("Ana owns 2 credentials: deploy and backup.");
  await user.click(within(dialog).getByRole("button", { name: "Hand over and remove" }));
  expect(within(dialog).getByText("Nobody is chosen.")).toBeTruthy();
  expect(removePerson).not.toHaveBeenCalled();
  const heir = within(dialog).getByRole("combobox", { name: "Hand over to" });
  await user.click(heir);
  await user.keyboard("Bia{Enter}");
  await user.click(within(dialog).getByRole("button", { name: "Hand over and remove" }));
  await waitFor(() => expect(removePerson).toHaveBeenCalledExactlyOnceWith(1, 3));
});

test("who owns credentials can be deactivated instead, and keeps them", async () => {
  const { user, savePerson, removePerson } = opened();
  const dialog = await removing(user, "Ana");
  await user.click(within(dialog).getByRole("radio", { name: "Deactivate Ana instead" }));
  await user.click(within(dialog).getByRole("button", { name: "Deactivate" }));
  await waitFor(() =>
    expect(savePerson).toHaveBeenCalledExactlyOnceWith(1, { name: "Ana", email: "ana@example.org", active: false }),
  );
  expect(removePerson).not.toHaveBeenCalled();
});

test("without another active person there is nobody to hand over to", async () => {
  const { user } = opened(PEOPLE.slice(0, 2));
  const dialog = await removing(user, "Ana");
  await user.click(within(dialog).getByRole("radio", { name: "Hand them over and remove Ana" }));
  expect(within(dialog).getByText("There is no other active person.")).toBeTruthy();
  expect(within(dialog).getByRole<HTMLButtonElement>("button", { name: "Hand over and remove" }).disabled).toBe(true);
});

test("why somebody could not be removed stands in the dialog", async () => {
  const failed = new BackendError(report({ message: "“Bia” owns “new”." }));
  const { user } = opened(PEOPLE, { removePerson: () => Promise.reject(failed) });
  const dialog = await removing(user, "Bia");
  await user.click(within(dialog).getByRole("button", { name: "Remove" }));
  expect(await within(dialog).findByText("“Bia” owns “new”.")).toBeTruthy();
});

test.each(["en", "pt-BR"] as const)("list and dialogs are accessible in %s", async (language) => {
  catalogue.choose(language);
  const { user } = opened();
  await screen.findByRole("grid");
  const rules = { "color-contrast": { enabled: false }, region: { enabled: false } };
  const wrong = async (within: Element) => (await axe.run(within, { rules })).violations.map((each) => each.id);
  expect(await wrong(document.body)).toEqual([]);
  await user.click(button(language === "en" ? "Remove Ana" : "Remover Ana"));
  expect(await wrong(await screen.findByRole("dialog"))).toEqual([]);
});
