// What the scripts share: Debian's Chromium without its calls to the network, and what is wrong with a page.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: [...OFFLINE, "--js-flags=--expose-gc"] });

// Errors and requests to other hosts, as they come.
export function faultsOf(page, base) {
  const faults = [];
  countRequests(page);
  page.on("console", (message) => message.type() === "error" && faults.push(`console: ${message.text()} ${message.location().url}`));
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("requestfailed", (request) => request.failure()?.errorText !== "net::ERR_ABORTED" && faults.push(`failed: ${request.url()}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(base).origin) && !/^(data|blob):/.test(request.url())) faults.push(`foreign: ${request.url()}`);
  });
  return faults;
}

const asked = new WeakMap();
export function countRequests(page) {
  asked.set(page, { open: 0 });
  page.on("request", () => { asked.get(page).open++; });
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, () => { asked.get(page).open--; });
}
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// Until nothing has been under way during some moments in which the page had nothing to do either.
export async function settled(page, moments = 5) {
  for (let quiet = 0; quiet < moments; quiet = asked.get(page).open ? 0 : quiet + 1) {
    await pause(20);
    await page.evaluate(() => new Promise((done) => { requestIdleCallback(() => done(), { timeout: 1000 }); }));
  }
  await page.waitForFunction(() => !document.body.innerText.includes("Loading…"));
}

export async function axe(page) {
  return page.evaluate(`${AXE}; axe.run(document).then((found) => ({ passes: found.passes.map((one) => one.id), violations: found.violations.map((one) =>
    ({ impact: one.impact, id: one.id, help: one.help, nodes: one.nodes.map((node) => node.html.slice(0, 160) + " | " + node.failureSummary) })) }))`);
}
