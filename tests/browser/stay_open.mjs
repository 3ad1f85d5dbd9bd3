// Leaves pages open side by side for so many refreshes; prints heap and DOM nodes as a line of JSON each time. `node stay_open.mjs BASE REFRESHES LOOKS HASH…`
// A refresh is what the page does every 30 seconds, asked for at once as if its tab had been shown again.
import { countRequests, launch, settled } from "./browser.mjs";

const [base, refreshes, looks, ...hashes] = process.argv.slice(2);
const browser = await launch();

await Promise.all(hashes.map(async (hash) => {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  countRequests(page);
  const devtools = await page.context().newCDPSession(page);
  await page.goto(`${base}/${hash}`);
  await settled(page);
  for (let done = 0; done <= Number(refreshes); done++) {
    if (done) await refresh(page);
    if (done % Math.round(refreshes / looks) && done !== 20) continue;
    await devtools.send("HeapProfiler.collectGarbage");
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    const { nodes, jsEventListeners } = await devtools.send("Memory.getDOMCounters");
    console.log(JSON.stringify({ hash, refreshes: done, heap: usedSize, nodes, listeners: jsEventListeners }));
  }
  await page.context().close();
}));
await browser.close();

async function refresh(page) {
  const answer = page.waitForResponse(/api\/(coverage|gaps|runs|findings)/);
  await page.evaluate(() => { document.dispatchEvent(new Event("visibilitychange")); });
  await answer;
  await settled(page, 2);
}
