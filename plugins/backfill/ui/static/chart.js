// The candlestick chart: colours by source, shades for what is no candle, marks; reloads finer or wider buckets as it is zoomed.
import { CandlestickSeries, HistogramSeries, createChart, createSeriesMarkers } from "./lightweight-charts-5.2.1.js";
import { count, figure, moment, read, seriesPath } from "./parts.js";

const BARS = 900;
const FEWEST = 90; // below it finer bars are asked for
const SETTLE_MS = 180;
// From the gravest on: a bucket has the colour of the first that it contains.
export const KINDS = {
  lost: ["#b92b22", "lost: it had trades"],
  missing: ["#e0483a", "missing"],
  doubtful: ["#e6a521", "doubtful silence"],
  outage: ["#9a5fd6", "outage of a source"],
  reported: ["#8b97a6", "no trade, reported"],
  proved: ["#5f6b7a", "no trade, proved"],
  pending: ["#6f9ce8", "pending"],
  closed: ["#b9c2cc", "market closed"],
};
const MARKS = { finding: ["#d0493e", "F"], revision: ["#3b7dd8", "R"], quarantine: ["#b8860b", "Q"] };
const STAND_INS = ["#3b7dd8", "#c27c1c", "#8f56c9", "#2a9d9d", "#b0508f"];
export const standInColour = (series, source) => STAND_INS[Math.max(0, series.sources.indexOf(source) - 1) % STAND_INS.length];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const fade = (colour, share) => colour + Math.round(255 * share).toString(16).padStart(2, "0");

export function candleChart(node, series, { onbar, onhover, onload }) {
  const chart = createChart(node, { autoSize: true, layout: { attributionLogo: false }, timeScale: { timeVisible: true, minBarSpacing: 0.2 },
    localization: { timeFormatter: (s) => moment(s * 1000) } });
  const shades = chart.addSeries(HistogramSeries, { priceScaleId: "shades", lastValueVisible: false, priceLineVisible: false });
  const volume = chart.addSeries(HistogramSeries, { priceScaleId: "volume", lastValueVisible: false, priceLineVisible: false, priceFormat: { type: "volume" } });
  const candles = chart.addSeries(CandlestickSeries, { lastValueVisible: false, priceLineVisible: false });
  chart.priceScale("shades").applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.85, bottom: 0 }, visible: false });
  const marks = createSeriesMarkers(candles, []);
  let data, timer, asked = 0, quiet = false;

  function theme() {
    const [ink, line, ground] = [css("--quiet"), css("--line"), css("--ground")];
    chart.applyOptions({ layout: { background: { color: ground }, textColor: ink }, grid: { vertLines: { color: line }, horzLines: { color: line } },
      timeScale: { borderColor: line }, rightPriceScale: { borderColor: line } });
    if (data) draw();
  }
  const colours = (source) => (source === series.sources[0] ? null : standInColour(series, source));

  function draw() {
    const { columns, bucket_ms: bucket } = data;
    const bars = new Map(columns.open_ms.map((ms, place) => [ms, place]));
    const first = Math.min(columns.open_ms[0] ?? Infinity, floor(data.start_ms, bucket));
    const times = [];
    for (let ms = first; ms < data.end_ms; ms += bucket) times.push(ms);
    data.times = times;
    const shade = shadesOf(data);
    const [up, down] = [css("--up"), css("--down")];
    candles.setData(times.map((ms) => {
      const at = bars.get(ms);
      if (at === undefined) return { time: ms / 1000 };
      const rises = columns.close[at] >= columns.open[at];
      const source = colours(columns.source[at]);
      const colour = source ?? (rises ? up : down);
      return { time: ms / 1000, open: columns.open[at], high: columns.high[at], low: columns.low[at], close: columns.close[at],
        color: source && rises ? fade(source, 0.45) : colour, borderColor: colour, wickColor: colour };
    }));
    volume.setData(times.map((ms) => ({ time: ms / 1000, value: columns.volume[bars.get(ms)] ?? 0, color: fade(css("--quiet"), 0.3) })));
    shades.setData(times.map((ms) => (shade.has(ms) ? { time: ms / 1000, value: 1, color: fade(KINDS[shade.get(ms)][0], bars.has(ms) ? 0.22 : 0.4) } : { time: ms / 1000 })));
    marks.setMarkers(markersOf(data, bars));
  }

  async function load(startMs, endMs) {
    const ticket = ++asked;
    const span = Math.max(endMs - startMs, 10 * series.step_ms);
    const [low, high] = bounds();
    const [from, to] = [Math.max(low, startMs - span / 2), Math.min(high, endMs + span / 2)];
    const found = await read(`api/chart/${seriesPath(series)}`, { bars: BARS,
      from: new Date(Math.min(from, high - series.step_ms)).toISOString(), to: new Date(Math.max(to, low + series.step_ms)).toISOString() });
    if (ticket !== asked) return;
    data = found;
    quiet = true;
    draw();
    const place = (ms) => (ms - (data.times[0] ?? data.start_ms)) / data.bucket_ms;
    chart.timeScale().setVisibleLogicalRange({ from: place(startMs), to: place(endMs) });
    onload(data);
    requestAnimationFrame(() => requestAnimationFrame(() => { quiet = false; }));
  }
  const bounds = () => [Math.min(...[series.start_ms, series.oldest_ms].filter((one) => one != null)),
    Math.max(...[series.end_ms, series.held_until_ms].filter((one) => one != null))];

  // What was stored since is drawn; a view that reaches the window's end goes on with it.
  async function follow(now) {
    if (JSON.stringify(now) === JSON.stringify(series)) return;
    const before = bounds()[1];
    series = now;
    const view = visible();
    if (!view) return;
    const ahead = view[1] >= before ? bounds()[1] - before : 0;
    await load(view[0] + ahead, view[1] + ahead);
  }
  function visible() {
    const range = chart.timeScale().getVisibleLogicalRange();
    if (!range || !data?.times.length) return null;
    return [data.times[0] + range.from * data.bucket_ms, data.times[0] + range.to * data.bucket_ms];
  }
  // Finer bars where few are left in view, wider ones where they no longer fit, others where the view has moved away.
  function moved() {
    const view = visible();
    if (!view) return;
    const shown = (view[1] - view[0]) / data.bucket_ms;
    const [low, high] = bounds();
    const beyond = (view[0] < data.start_ms && data.start_ms > low) || (view[1] > data.end_ms && data.end_ms < high);
    if ((shown < FEWEST && data.bucket_ms > series.step_ms) || shown > 1.5 * BARS || beyond) load(...view).catch(onload);
  }
  chart.timeScale().subscribeVisibleLogicalRangeChange(() => {
    clearTimeout(timer);
    if (!quiet) timer = setTimeout(moved, SETTLE_MS);
  });
  chart.subscribeClick((event) => {
    if (event.time == null) return;
    const ms = event.time * 1000;
    if (data.bucket_ms === series.step_ms) onbar(ms);
    else load(ms - data.bucket_ms, ms + 2 * data.bucket_ms).catch(onload);
  });
  chart.subscribeCrosshairMove((event) => {
    const at = event.time == null ? -1 : data?.columns.open_ms.indexOf(event.time * 1000) ?? -1;
    onhover(at < 0 ? (event.time == null ? "" : `${moment(event.time * 1000)}: no candle`) : sentence(data, at));
  });
  function step(share, zoom = 1) {
    const view = visible();
    if (!view) return;
    const [middle, half] = [(view[0] + view[1]) / 2 + share * (view[1] - view[0]), (zoom * (view[1] - view[0])) / 2];
    load(middle - half, middle + half).catch(onload);
  }
  const KEYS = { ArrowLeft: [-0.2], ArrowRight: [0.2], "+": [0, 0.5], "=": [0, 0.5], "-": [0, 2] };
  node.addEventListener("keydown", (event) => {
    if (!KEYS[event.key]) return;
    event.preventDefault();
    step(...KEYS[event.key]);
  });
  theme();
  return { load, follow, theme, bounds, close: () => { clearTimeout(timer); chart.remove(); } };
}

// Buckets open on the grid of the first Monday.
const floor = (ms, bucket) => ms - ((((ms - 345_600_000) % bucket) + bucket) % bucket);

function shadesOf(data) {
  const found = new Map();
  const outages = data.marks.filter((mark) => mark.what === "outage").map((mark) => [Date.parse(mark.at), Date.parse(mark.until)]);
  const bands = { ...Object.fromEntries(data.bands.map((band) => [band.kind, band.bands])), outage: outages };
  for (const kind of Object.keys(KINDS))
    for (const [start, end] of bands[kind] ?? [])
      for (let ms = Math.max(floor(start, data.bucket_ms), floor(data.start_ms, data.bucket_ms)); ms < Math.min(end, data.end_ms); ms += data.bucket_ms)
        if (!found.has(ms)) found.set(ms, kind);
  return found;
}

function markersOf(data, bars) {
  const counts = new Map();
  for (const mark of data.marks) {
    const ms = floor(Date.parse(mark.at), data.bucket_ms);
    if (!MARKS[mark.what] || !bars.has(ms)) continue;
    counts.set(`${ms} ${mark.what}`, (counts.get(`${ms} ${mark.what}`) ?? 0) + 1);
  }
  return [...counts].map(([key, n]) => {
    const [ms, what] = key.split(" ");
    return { time: Number(ms) / 1000, position: "aboveBar", shape: "arrowDown", color: MARKS[what][0], text: MARKS[what][1] + (n > 1 ? count(n) : "") };
  }).sort((a, b) => a.time - b.time);
}

function sentence({ columns, bucket_ms: bucket, step_ms: step }, at) {
  const values = ["open", "high", "low", "close", "volume"].map((name) => `${name} ${figure(columns[name][at])}`).join(", ");
  const joined = bucket > step ? `, ${count(columns.bars[at])} candles` : "";
  const others = columns.stand_ins[at] ? ` (${count(columns.stand_ins[at])} not from the primary source)` : "";
  return `${moment(columns.open_ms[at])}: ${values}; ${columns.source[at] ?? "unknown source"}${others}${joined}`;
}
