// One series: the chart, what it marks, the story of one bar, and the run log.
import { count, duration, el, exactly, fill, figure, focusHeading, moment, percent, plural, query, read, seriesPath, table } from "./parts.js";
import { KINDS, candleChart, standInColour } from "./chart.js";
import { LISTS } from "./lists.js";

const DAY_MS = 86_400_000;
const RANGES = [["All", null], ["1 year", 365], ["90 days", 90], ["30 days", 30], ["7 days", 7], ["1 day", 1], ["6 hours", 0.25], ["1 hour", 1 / 24]];

export function series([symbol, timeframe], settings) {
  const title = focusHeading(`${symbol} ${timeframe}`);
  const facts = el("p");
  const others = el("p");
  const node = el("div", { id: "chart", tabindex: "0", role: "group", "aria-label": `Chart of ${symbol} ${timeframe}. Arrow keys move, plus and minus zoom.` });
  const under = el("p", { id: "under", class: "quiet" }, "Click a bar for its story; where bars are joined, a click looks closer.");
  const legend = el("p", { class: "bar" });
  const story = el("div", { "aria-live": "polite" });
  const marks = table([
    { title: "What", cell: (row) => row.what },
    { title: "At", cell: (row) => el("button", { type: "button", onclick: () => goTo(Date.parse(row.at), true) }, moment(row.at)) },
    { title: "Title", long: true, cell: (row) => row.title.replaceAll("_", " ") },
    { title: "Source", cell: (row) => row.source },
    { title: "Status", cell: (row) => row.status },
  ], { caption: "What was found in view" });
  const runs = table(LISTS.runs.columns.slice(1), { caption: `Run log of ${symbol} ${timeframe}` });
  const exact = el("input", { type: "datetime-local", step: "60", "aria-label": "Open time of a bar, UTC" });
  let chart, head, wanted = settings;

  const range = (days) => { const [low, high] = chart.bounds(); return chart.load(days == null ? low : high - days * DAY_MS, high).catch(loaded); };
  function goTo(ms, andTell) {
    if (andTell) tell(ms);
    return chart.load(ms - 40 * head.step_ms, ms + 40 * head.step_ms).catch(loaded);
  }
  async function tell(ms) {
    try {
      const told = await read(`api/explain/${seriesPath(head)}`, { open_time: new Date(ms).toISOString() });
      story.replaceChildren(storyOf(told, () => story.replaceChildren()));
    } catch (error) {
      story.replaceChildren(el("p", { class: "notice" }, error.message));
    }
  }
  function loaded(data) {
    if (data instanceof Error) { under.textContent = data.message; return; }
    const kinds = data.bands.map((band) => [band.kind, `${KINDS[band.kind][1]}: ${count(band.candles)}`]);
    if (data.marks.some((mark) => mark.what === "outage")) kinds.push(["outage", KINDS.outage[1]]);
    const standIns = [...new Set(data.columns.source)].filter((source) => source !== data.primary);
    const keys = [...standIns.map((source) => [standInColour(head, source), `candles of ${source ?? "an unknown source"}`]), ...kinds.map(([kind, text]) => [KINDS[kind][0], text])]
      .map(([colour, text]) => { const key = el("span", { class: "key" }); key.style.background = colour; return el("span", {}, key, text); });
    legend.replaceChildren(el("span", { class: "quiet" }, `${data.bucket_ms > data.step_ms ? `bars of ${duration(data.bucket_ms / 1000)}` : "single bars"}, ${plural(data.columns.open_ms.length, "bar")} loaded;`), ...keys);
    fill(marks, data.marks, (row) => `${row.what} ${row.id}`);
  }
  function go() {
    if (wanted.bar) return goTo(Date.parse(wanted.bar), true);
    if (wanted.from && wanted.to) return chart.load(Date.parse(wanted.from), Date.parse(wanted.to)).catch(loaded);
    return range(head.step_ms < DAY_MS ? 600 * head.step_ms / DAY_MS : null);
  }

  return {
    node: [title, facts, others,
      el("div", { class: "bar" }, RANGES.map(([text, days]) => el("button", { type: "button", onclick: () => range(days) }, text)),
        el("span", { class: "end" }, exact, " ", el("button", { type: "button", onclick: () => exact.value && goTo(Date.parse(`${exact.value}Z`), true) }, "Explain this bar"))),
      node, under, legend, story, el("h2", {}, "Found in view"), marks.node, el("h2", {}, "Run log"), runs.node],
    changed: (values) => { wanted = values; return go(); },
    theme: () => chart?.theme(),
    close: () => chart?.close(),
    async refresh() {
      const first = !head;
      const [found, log, family] = await Promise.all([
        read(`api/series/${encodeURIComponent(symbol)}/${encodeURIComponent(timeframe)}`),
        read("api/runs", { symbol, timeframe, limit: 20 }), read("api/coverage", { search: symbol, sort: "timeframe", limit: 50 })]);
      head = found;
      fill(runs, log.rows, (row) => row.id);
      const row = family.rows.find((one) => one.symbol === symbol && one.timeframe === timeframe);
      facts.replaceChildren(...factsOf(head, row));
      others.replaceChildren("Timeframes: ", ...family.rows.filter((one) => one.symbol === symbol)
        .flatMap((one) => [el("a", { href: `#/series/${seriesPath(one)}`, "aria-current": one.timeframe === timeframe ? "page" : null }, one.timeframe), " "]));
      if (!first) return;
      chart = candleChart(node, head, { onbar: tell, onhover: (text) => { under.textContent = text || " "; }, onload: loaded });
      await go();
    },
  };
}

function factsOf(head, row) {
  const held = `${plural(head.held_candles, "candle")} held${head.stand_in_candles ? `, ${count(head.stand_in_candles)} of them from stand-ins` : ""}. Sources, best first: ${head.sources.join(", ")}. `;
  if (!head.wanted || !row) return [held, "The universe does not name it now."];
  const missing = row.overdue_candles
    ? el("a", { href: `#/gaps${query({ symbol: head.symbol, timeframe: head.timeframe })}` }, `${plural(row.overdue_candles, "candle")} missing`) : "nothing missing";
  return [el("strong", { class: `badge ${row.state}` }, row.state), ` ${percent(row.coverage_pct)}, `, missing, `. ${held}Window ${moment(head.start_ms)} to ${moment(head.end_ms)}.`];
}

// --- the story of one bar ----------------------------------------------------------------------------------
const GIVEN_BY = {
  primary: "from its primary source", stand_in: "a stand-in for the primary source's", derived: "made of finer bars of the primary source",
  manual: "written by a person", other: "from a source that the series does not name",
};
const OHLCV = ["open", "high", "low", "close", "volume", "quote_volume"];
const valuesOf = (bar) => OHLCV.map((name) => `${name.replace("_", " ")} ${figure(bar[name])}`).join(", ");

function storyOf(told, close) {
  const { candle } = told;
  const part = (name, rows, line) => (rows.length ? [el("h3", {}, name), el("ul", {}, rows.map((row) => el("li", {}, line(row))))] : []);
  return el("section", { class: "side", "aria-label": "The story of one bar" },
    el("div", { class: "bar" }, el("h2", {}, `${told.symbol} ${told.timeframe}, ${exactly(told.open_time)}`), el("button", { type: "button", class: "end", onclick: close }, "Close")),
    candle
      ? el("p", {}, `A candle of ${candle.source ?? "an unknown source"}, ${GIVEN_BY[candle.given_by]}${told.confirmed ? ", sent again after it had settled" : ""}: ${valuesOf(candle)}.`)
      : el("p", {}, `No candle (${told.state.replaceAll("_", " ")}): ${told.why}.`),
    part("Carried over", told.carried, (one) => `from ${one.from_symbol}, ${moment(one.carried_at)}: ${one.agreeing_bars} of ${one.common_bars} bars in common agreed (${one.proved_by})`),
    part("Compared", [...told.compared, ...told.proved], (one) => `${one.source ?? "other sources"}: ${one.bar.replaceAll("_", " ")}, ${moment(one.last_seen_at)}`),
    part("Findings", told.findings, (one) => `${one.kind.replaceAll("_", " ")}, ${one.verdict}, ${one.status}${one.field ? `: ${one.field} ours ${figure(one.stored)}, theirs ${figure(one.other)}` : ""}${one.source ? `, ${one.source}` : ""}`),
    part("What it was before", told.former_selves, (one) => `${one.source ?? "an unknown source"}: ${valuesOf(one)}; replaced ${moment(one.replaced_at)}: ${one.reason.replaceAll("_", " ")}${one.note ? ` (${one.note})` : ""}`),
    part("In quarantine", told.quarantine, (one) => `${one.rule.replaceAll("_", " ")}, ${one.source}, ${one.status}: ${JSON.stringify(one.payload)}`),
    part("Who may be asked", told.sources, (one) => `${one.source}: ${one.absent_until ? `has no candle, believed until ${moment(one.absent_until)}` : "has not denied it"}${one.listings.length ? `; listing ${one.listings[0].venue_symbol}, ${one.listings[0].status}` : ""}`));
}
