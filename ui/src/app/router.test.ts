import { afterEach, beforeEach, expect, test } from "vitest";

import { href, parse, router } from "./router.svelte";

let stop: () => void;

beforeEach(() => {
  window.history.replaceState(null, "", "#/overview");
  stop = router.start();
});

afterEach(() => stop());

const settled = () => new Promise((done) => setTimeout(done, 5));

test("an address names a screen, a thing, what is done with it and filters", () => {
  expect(parse("#/credentials")).toEqual({ screen: "credentials", id: null, action: null, query: {} });
  expect(parse("#/credentials/3")).toEqual({ screen: "credentials", id: 3, action: null, query: {} });
  expect(parse("#/credentials/3/edit")).toEqual({ screen: "credentials", id: 3, action: "edit", query: {} });
  expect(parse("#/devices/new")).toEqual({ screen: "devices", id: null, action: "new", query: {} });
  expect(parse("#/changes?state=interrupted").query).toEqual({ state: "interrupted" });
  expect(parse("#/nonsense/7").screen).toBe("overview");
});

test("an address leads back to where it was made for", () => {
  expect(parse(href("credentials", 3, "change"))).toEqual({ screen: "credentials", id: 3, action: "change", query: {} });
  expect(parse(href("devices", null, null, { tag: "a&b=ç" })).query).toEqual({ tag: "a&b=ç" });
});

test("following a link shows its place", async () => {
  router.go("devices", 7);
  await settled();
  expect(router.route).toMatchObject({ screen: "devices", id: 7 });
});

test("what has unsaved changes is left only when that is allowed", async () => {
  router.go("credentials", 1, "edit");
  await settled();
  let answer = false;
  const release = router.guard(() => answer);
  router.go("people");
  await settled();
  expect(router.route.screen, "the form would be gone").toBe("credentials");
  expect(window.location.hash, "the address says something else than the screen").toBe("#/credentials/1/edit");
  answer = true;
  router.go("people");
  await settled();
  expect(router.route.screen).toBe("people");
  release();
});
