// Signs in to a running Airflow, opens "Candles" from its navigation, and fills the newest gap of SYMBOL.
// `node airflow.mjs BASE USER PASSWORD FOLDER SYMBOL`
import { axe, faultsOf, launch, settled } from "./browser.mjs";

const PATIENCE_MS = 150_000;
const [base, user, password, folder, symbol] = process.argv.slice(2);
const browser = await launch();
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
page.setDefaultTimeout(PATIENCE_MS);
const faults = faultsOf(page, base);
const done = {};

await page.goto(`${base}/plugin/candles`);
await page.getByLabel(/username/i).fill(user);
await page.locator("input[type=password]").fill(password);
await page.getByRole("button", { name: /sign in/i }).click();
const frame = page.frameLocator("iframe");
await frame.getByRole("heading", { name: "Overview" }).waitFor();
await settled(page);
faults.length = 0; // Airflow's own, of the page without a user
await frame.getByText(/series/).first().waitFor();
await page.screenshot({ path: `${folder}/airflow-overview.png` });
await frame.getByRole("link", { name: "Gaps", exact: true }).click();
const fill = frame.getByRole("button", { name: new RegExp(`^Fill ${symbol}`) }).first();
await fill.waitFor();
done.gap = await fill.getAttribute("aria-label");
await fill.click();
const unpause = frame.getByRole("button", { name: "Unpause it" });
const closed = frame.getByText("closed", { exact: true });
await unpause.or(closed).first().waitFor();
if (await unpause.isVisible()) await unpause.click();
await closed.waitFor();
await page.screenshot({ path: `${folder}/airflow-closed.png` });
const inner = page.frames().find((one) => one.url().includes("/backfill/"));
done.violations = (await axe(inner)).violations.filter((one) => ["serious", "critical"].includes(one.impact));
done.faults = faults;
await browser.close();
console.log(JSON.stringify(done));
