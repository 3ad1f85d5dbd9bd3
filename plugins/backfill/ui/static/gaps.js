// Every gap: why it is open, who was asked and answered what, when it is asked for again; and the button that fills it.
import {
  TIMEFRAMES, badge, choice, count, el, fill, focusHeading, moment, pager, query, read, rights, search, seriesLink, table, time,
} from "./parts.js";
import { fillGap } from "./fill.js";

const LIMIT = 50;
const REASONS = [["", "all"], ["not asked", "not asked"], ["doubtful", "doubtful"], ["lost", "lost"]];
const SORTS = [["newest", "newest first"], ["oldest", "oldest first"], ["largest", "largest first"]];
const WHY = {
  "not asked": "Not every source has answered yet.",
  doubtful: "No source has it, but silence of one answer is not believed.",
  lost: "It had trades: longer bars of the primary source count them.",
};

function answer(asked) {
  const again = asked.ask_again_at && Date.parse(asked.ask_again_at) > Date.now() ? `; asked again after ${moment(asked.ask_again_at)}` : "; may be asked now";
  const said = {
    absent: `has no candle (${asked.grade}, ${asked.confirmations}×)${again}`,
    refused: `is another instrument: ${asked.error ?? "refused"}`,
    skipped: `is skipped: ${asked.error ?? "failing"}${again}`,
    "not answered": "has not answered",
  }[asked.answer];
  const leaves = asked.leaves_reach_at && asked.answer !== "refused"
    ? Date.parse(asked.leaves_reach_at) < Date.now() ? "; out of its reach" : `; leaves its reach ${moment(asked.leaves_reach_at)}` : "";
  return el("li", {}, el("strong", {}, asked.source), ` ${said}${leaves}`);
}

export function gaps(_, settings) {
  const chosen = { sort: "newest", offset: 0, ...settings };
  const recheck = el("input", { type: "checkbox", id: "recheck" });
  const about = el("p");
  const notice = el("p", { class: "notice", hidden: true });
  const pages = el("div");
  const filters = el("div", { class: "bar" });
  const may = { fill: false };
  const underWay = new Map(); // rows whose fill was started here: they stay until the page is left
  const keyOf = (row) => `${row.symbol} ${row.timeframe} ${row.gap_start} ${row.reason} ${may.fill}`;
  const list = table([
    { title: "Series", cell: (row) => seriesLink(row) },
    { title: "From", cell: (row) => time(row.gap_start) },
    { title: "To", cell: (row) => time(row.gap_end) },
    { title: "Candles", number: true, cell: (row) => count(row.missing_candles) },
    { title: "Why", long: true, cell: (row) => [badge(row.reason), el("br"), el("span", { class: "quiet" }, WHY[row.reason])] },
    { title: "Who was asked", cell: (row) => el("ul", { class: "list" }, row.asked.map(answer)) },
    { title: "Fill", cell: (row) => button(row) },
    { title: "Look", cell: (row) => el("a", { href: `#/series/${encodeURIComponent(row.symbol)}/${row.timeframe}${query(around(row))}` }, "Chart") },
  ], { caption: "Gaps" });

  function button(row) {
    const state = el("div", { class: "state", "aria-live": "polite" });
    const press = el("button", { type: "button", class: "main", disabled: !may.fill, title: may.fill ? null : "Your role may not start candles_catch_up.",
      "aria-label": `Fill ${row.symbol} ${row.timeframe} from ${moment(row.gap_start)}`,
      onclick: () => { underWay.set(keyOf(row), row); fillGap(row, recheck.checked, press, state, notice); } }, "Fill");
    return [press, state];
  }
  function choose(values) {
    Object.assign(chosen, { offset: 0 }, values);
    return draw();
  }
  async function draw() {
    const page = await read("api/gaps", { search: chosen.search, symbol: chosen.symbol, timeframe: chosen.timeframe, status: chosen.status,
      sort: chosen.sort, pending: chosen.pending, from: chosen.from, to: chosen.to, limit: LIMIT, offset: chosen.offset });
    fill(list, [...underWay.values(), ...page.rows.filter((row) => !underWay.has(keyOf(row)))], keyOf);
    pages.replaceChildren(pager({ offset: chosen.offset, limit: LIMIT, shown: page.rows.length, total: page.total }, (offset) => choose({ offset })));
    const only = [chosen.symbol, chosen.timeframe, chosen.from && `from ${moment(chosen.from)}`, chosen.to && `to ${moment(chosen.to)}`].filter(Boolean).join(" ");
    about.replaceChildren(only ? `Only ${only}. ` : "", only ? el("a", { href: "#/gaps" }, "Show all") : "");
  }
  filters.append(
    search("Filter", chosen.search, (value) => choose({ search: value })),
    choice("Timeframe", TIMEFRAMES, chosen.timeframe, (value) => choose({ timeframe: value })),
    choice("Reason", REASONS, chosen.status, (value) => choose({ status: value })),
    choice("Order", SORTS, chosen.sort, (value) => choose({ sort: value })),
    el("label", {}, el("input", { type: "checkbox", onchange: (event) => choose({ pending: event.target.checked }) }), " also what closed within the hour"),
    el("label", { class: "end", title: "Believe no earlier answer that a bar is absent" }, recheck, " recheck: ask again for what sources have denied"));
  return {
    node: [focusHeading("Gaps"), about, filters, notice, list.node, pages],
    changed: (values) => choose({ symbol: values.symbol, timeframe: values.timeframe, from: values.from, to: values.to, search: values.search, status: values.status }),
    async refresh() {
      may.fill = (await rights()).may_fill;
      await draw();
    },
  };
}

// The gap with as much again on both sides.
function around(row) {
  const [start, end] = [Date.parse(row.gap_start), Date.parse(row.gap_end)];
  const margin = Math.max(end - start, (60 * (end - start)) / row.missing_candles);
  return { from: new Date(start - margin).toISOString(), to: new Date(end + margin).toISOString() };
}
