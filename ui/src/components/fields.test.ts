import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";

import SearchBox from "./SearchBox.svelte";
import TagsField from "./TagsField.svelte";
import TextField from "./TextField.svelte";
import Track from "./Track.svelte";

test("a field is named by its label alone, and told what is wrong and what to do", () => {
  render(TextField, { label: "Name", value: "", required: true, help: "Shown in lists.", error: "Enter a name.", hint: "Any." });

  const field = screen.getByRole("textbox", { name: "Name" });
  expect(field.getAttribute("aria-required")).toBe("true");
  expect(field.getAttribute("aria-invalid")).toBe("true");
  const said = (field.getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "")
    .join(" ");
  expect(said).toContain("Shown in lists.");
  expect(said).toContain("Enter a name.");
  expect(said).toContain("Any.");
});

test("tags are added by Enter and comma, once each, and taken away again", async () => {
  const user = userEvent.setup();
  render(TagsField, { label: "Tags", tags: ["web"], known: ["production", "test"] });
  const field = screen.getByRole("textbox", { name: "Tags" });
  const tags = () => screen.queryAllByRole("button", { name: /^Remove/ }).map((button) => button.getAttribute("aria-label"));

  await user.type(field, "db,web, eu {Enter}");
  expect(tags()).toEqual(["Remove web", "Remove db", "Remove eu"]);
  await user.type(field, "prod");
  await user.click(screen.getByRole("button", { name: "production" }));
  expect(tags()).toEqual(["Remove web", "Remove db", "Remove eu", "Remove production"]);
  await user.type(field, "{Backspace}");
  await user.click(screen.getByRole("button", { name: "Remove web" }));
  expect(tags()).toEqual(["Remove db", "Remove eu"]);
});

test("Escape clears a search first, and is left to the page when there is nothing to clear", async () => {
  const user = userEvent.setup();
  const reached: string[] = [];
  const listen = (event: KeyboardEvent) => reached.push(event.key);
  document.body.addEventListener("keydown", listen);
  render(SearchBox, { label: "Search devices", value: "" });
  const box = screen.getByRole<HTMLInputElement>("searchbox", { name: "Search devices" });

  await user.type(box, "ab");
  reached.length = 0;
  await user.keyboard("{Escape}");
  expect(box.value).toBe("");
  expect(reached).toEqual([]);
  await user.keyboard("{Escape}");
  expect(reached).toEqual(["Escape"]);
  document.body.removeEventListener("keydown", listen);
});

test("a track says every stage and its state, and which one is at work", () => {
  render(Track, {
    stages: [
      { name: "check", state: "done", label: "done" },
      { name: "add", state: "running", label: "running" },
      { name: "prove", state: "waiting", label: "waiting" },
    ],
  });

  const stages = screen.getAllByRole("listitem");
  expect(stages.map((stage) => stage.textContent?.trim())).toEqual(["check: done", "add: running", "prove: waiting"]);
  expect(stages.map((stage) => stage.getAttribute("aria-current"))).toEqual([null, "step", null]);
});
