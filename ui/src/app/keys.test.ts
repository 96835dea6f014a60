import { afterEach, expect, test, vi } from "vitest";

import { press, shortcut, take } from "./keys";

const key = (name: string, modifiers: KeyboardEventInit = {}) =>
  new KeyboardEvent("keydown", { key: name, cancelable: true, ...modifiers });

afterEach(() => document.body.replaceChildren());

test("the keys are those of the design", () => {
  const control = { ctrlKey: true };
  expect(["k", "n", "s", "Enter"].map((name) => shortcut(key(name, control)))).toEqual(["search", "new", "save", "main"]);
  expect(shortcut(key("Escape"))).toBe("close");
  expect(shortcut(key("K", { metaKey: true }))).toBe("search");
  expect(["k", "Enter"].map((name) => shortcut(key(name))), "typing would start something").toEqual([null, null]);
  expect(shortcut(key("s", { ctrlKey: true, altKey: true })), "AltGr is typing").toBeNull();
});

test("the newest taker gets the key, and gives it back", () => {
  const [below, above] = [vi.fn(), vi.fn()];
  const first = take("save", below);
  const second = take("save", above);
  const event = key("s", { ctrlKey: true });
  press(event);
  expect([below.mock.calls.length, above.mock.calls.length]).toEqual([0, 1]);
  expect(event.defaultPrevented, "the web view would do its own thing as well").toBe(true);
  second();
  press(key("s", { ctrlKey: true }));
  expect(below).toHaveBeenCalledOnce();
  first();
});

test("nothing below an open dialog is begun", () => {
  const begin = vi.fn();
  const release = take("main", begin);
  const dialog = document.createElement("div");
  dialog.setAttribute("role", "dialog");
  document.body.append(dialog);
  press(key("Enter", { ctrlKey: true }));
  expect(begin).not.toHaveBeenCalled();
  release();
});
