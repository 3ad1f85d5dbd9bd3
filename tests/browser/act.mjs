// Filters, zooms, sees a chart follow, asks for a bar's story, and fills a gap. `node act.mjs BASE FOLDER NOW_MS`
import { faultsOf, launch, settled } from "./browser.mjs";

const [base, folder, now] = process.argv.slice(2);
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
await context.clock.setFixedTime(Number(now));
const faults = faultsOf(page, base);
const done = {};

await page.goto(`${base}/`);
await settled(page);
const rows = () => page.locator("table.heat tbody tr th").allInnerTexts();
done.all = await rows();
await page.getByLabel("Filter").fill("eth");
await page.waitForFunction(() => document.querySelectorAll("table.heat tbody tr").length === 2);
done.filtered = await rows();
await page.getByLabel("Filter").fill("");
await page.waitForFunction((all) => document.querySelectorAll("table.heat tbody tr").length === all, done.all.length);
await page.getByLabel("State").selectOption("missing");
await page.waitForFunction((all) => document.querySelectorAll("table.heat tbody tr").length < all, done.all.length);
done.missing = await rows();

const chart = await context.newPage();
const missing = () => chart.locator("p.bar", { hasText: "missing" }).innerText();
await chart.goto(`${base}/#/series/BTC-USDT/1m`);
done.before = await missing();

// By the keyboard from the map to the gaps of a day, as one who does not use a mouse.
const day = page.locator("table.heat tbody tr", { hasText: "BTC-USDT 1m" }).locator("td.c-some");
await day.last().focus();
await page.keyboard.press("Enter");
await page.getByRole("heading", { name: "Gaps" }).waitFor();
await settled(page);
done.hash = new URL(page.url()).hash;
const fill = page.getByRole("button", { name: /^Fill BTC-USDT 1m/ }).first();
await fill.click();
await page.getByText("closed", { exact: true }).waitFor();
await page.screenshot({ path: `${folder}/filled.png` });

await chart.evaluate(() => { document.dispatchEvent(new Event("visibilitychange")); }); // as when its tab is shown
await chart.getByText("missing: 20").waitFor();
done.after = await missing();
await chart.close();

await page.goto("about:blank");
await page.goto(`${base}/#/series/BTC-USDT/1m`);
await settled(page);
const legend = () => page.locator("p.bar .quiet").innerText();
await page.getByRole("button", { name: "All", exact: true }).click();
await page.waitForFunction(() => document.querySelector("p.bar .quiet")?.innerText.startsWith("bars of"));
done.wide = await legend();
await page.locator("#chart").focus();
for (let i = 0; i < 4; i++) {
  const answer = page.waitForResponse(/api\/chart/);
  await page.keyboard.press("+");
  await answer;
  await page.waitForTimeout(50);
}
await page.waitForFunction(() => document.querySelector("p.bar .quiet")?.innerText.startsWith("single bars"));
done.close = await legend();
await page.getByLabel("Open time of a bar, UTC").fill("2026-03-10T02:30");
await page.getByRole("button", { name: "Explain this bar" }).click();
await page.getByRole("region", { name: "The story of one bar" }).waitFor();
done.story = await page.getByRole("region", { name: "The story of one bar" }).innerText();
await page.screenshot({ path: `${folder}/story.png` });

await page.goto("about:blank");
await page.goto(`${base}/#/findings`);
await settled(page);
await page.getByLabel(/^Choose/).first().check();
await page.getByLabel("Reason").fill("the venue said so");
await page.getByRole("button", { name: "Dismiss" }).click();
await page.getByText("Dismiss: 1").waitFor();
done.faults = faults;
await browser.close();
console.log(JSON.stringify(done));
