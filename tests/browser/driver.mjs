// SPDX-License-Identifier: MIT
// Opens a page in Chromium and does what standard input says, a JSON object:
//   {"url": ..., "scripts": true, "width": 1300, "height": 900, "dark": false, "offline": true,
//    "steps": [["click", selector], ["fill", selector, text], ["press", key], ["hover", selector],
//              ["eval", expression], ["wait", expression], ["resize", width, height], ["goto", url], ["reload"],
//              ["back"], ["forward"], ["screenshot", path]]}
// and prints {"results": [one value a step], "problems": [page errors, console errors], "requests": [addresses]}.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.BUILD + "/node/package.json");
const { chromium } = require("playwright-core");
const order = JSON.parse(readFileSync(0, "utf8"));
const patience = 120000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ["--no-sandbox", "--enable-unsafe-swiftshader"],
});
const context = await browser.newContext({
  viewport: { width: order.width ?? 1300, height: order.height ?? 900 },
  javaScriptEnabled: order.scripts ?? true,
  colorScheme: order.dark ? "dark" : "light",
});
const page = await context.newPage();
page.setDefaultTimeout(patience);
const problems = [];
const requests = [];
page.on("pageerror", (error) => problems.push("page error: " + error.message));
page.on("console", (message) => message.type() === "error" && problems.push("console: " + message.text()));
page.on("dialog", (dialog) => {
  problems.push("dialog: " + dialog.message());
  dialog.dismiss();
});
page.on("request", (request) => requests.push(request.url()));

const does = {
  click: (selector) => page.locator(selector).first().click(),
  fill: (selector, text) => page.locator(selector).fill(text),
  press: (key) => page.keyboard.press(key),
  hover: (selector) => page.locator(selector).first().hover(),
  eval: (expression) => page.evaluate(expression),
  wait: (expression) => page.waitForFunction(expression, undefined, { timeout: patience }).then(() => true),
  resize: (width, height) => page.setViewportSize({ width, height }),
  goto: (url) => page.goto(url, { timeout: patience }).then(() => true),
  reload: () => page.reload().then(() => true),
  back: () => page.goBack().then(() => true),
  forward: () => page.goForward().then(() => true),
  screenshot: (path) => page.screenshot({ path }).then(() => path),
};

const results = [];
let failure = null;
try {
  await page.goto(order.url, { timeout: patience });
  for (const [verb, ...words] of order.steps) results.push((await does[verb](...words)) ?? null);
} catch (error) {
  failure = String(error);
}
console.log(JSON.stringify({ results, problems, requests, failure }));
await browser.close();
