// Opens every page at 1280x800: screenshots, faults, axe's findings. `node walk.mjs BASE FOLDER light|dark NOW_MS '[[name, hash], …]'`
import { axe, faultsOf, launch, settled } from "./browser.mjs";

const [base, folder, theme, now, pages] = process.argv.slice(2);
const browser = await launch();
const context = await browser.newContext({ colorScheme: theme, viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
await page.clock.setFixedTime(Number(now));
const faults = faultsOf(page, base);
const seen = [];
for (const [name, hash] of JSON.parse(pages)) {
  await page.goto("about:blank");
  await page.goto(`${base}/${hash}`);
  await settled(page);
  await page.screenshot({ path: `${folder}/${name}-${theme}.png` });
  seen.push({ name, title: await page.title(), text: await page.innerText("main"), faults: faults.splice(0), ...(await axe(page)),
    problem: await page.locator("#problem").isVisible(), wide: await page.evaluate(() => document.documentElement.scrollWidth) });
}
await browser.close();
console.log(JSON.stringify(seen));
