import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // svelteTesting takes effect in component tests only: Svelte's browser half, and an empty page after each test.
  plugins: [svelte(), svelteTesting()],
  build: {
    // The oldest web views that Tauri runs on: WebKitGTK 2.38 and macOS 13's; WebView2 keeps itself up to date.
    target: ["safari16", "chrome111"],
    // Nothing may be inlined: the content security policy of the window allows neither data: nor inline code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: {
    environment: "jsdom",
    setupFiles: ["src/test-page.ts"],
    include: ["src/**/*.test.ts"],
    // For a test that hangs; a busy machine must not fail one that works.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Read by the test of its contrasts; other styles are not needed.
    css: { include: [/tokens\.css/] },
  },
});
