// Findings, quarantine, revisions, runs and instrument log: one page of each, and decisions for those who may edit Dags.
import {
  TIMEFRAMES, badge, choice, count, duration, el, figure, fill, focusHeading, moment, pager, percent, read, rights, runLink, search, send,
  seriesLink, table, time,
} from "./parts.js";

const LIMIT = 50;
const all = (words) => [["", "all"], ...words.map((word) => [word, word.replaceAll("_", " ")])];
const series = { title: "Series", cell: (row) => seriesLink(row) };
const values = (row, prefix = "") => ["open", "high", "low", "close", "volume"].map((name) => figure(row[prefix + name])).join(" / ");
const details = (value) => el("details", {}, el("summary", {}, "show"), el("code", {}, JSON.stringify(value)));
const barLink = (row, at) => (row.symbol && row.timeframe && at
  ? el("a", { href: `#/series/${encodeURIComponent(row.symbol)}/${row.timeframe}?bar=${new Date(at).toISOString()}` }, moment(at)) : time(at));

export const LISTS = {
  findings: {
    title: "Findings", statuses: all(["open", "settled", "dismissed"]), status: "open",
    decisions: [["Dismiss", "api/findings/dismiss"]], undecided: (row) => row.status !== "dismissed",
    columns: [
      series,
      { title: "At", cell: (row) => barLink(row, row.start_time) },
      { title: "Kind", cell: (row) => row.kind.replaceAll("_", " ") },
      { title: "Verdict", cell: (row) => row.verdict },
      { title: "Status", cell: (row) => badge(row.status) },
      { title: "Source", cell: (row) => row.source },
      { title: "Ours, theirs", cell: (row) => (row.field ? `${row.field}: ${figure(row.stored)}, ${figure(row.other)}` : "") },
      { title: "Seen", number: true, cell: (row) => count(row.times_seen) },
      { title: "Last seen", cell: (row) => time(row.last_seen_at) },
      { title: "Detail", long: true, cell: (row) => details(row.detail) },
    ],
  },
  quarantine: {
    title: "Quarantine", statuses: all(["pending", "released", "discarded"]), status: "pending",
    decisions: [["Discard", "api/quarantine/discard"], ["Release", "api/quarantine/release"]], undecided: (row) => row.status === "pending",
    columns: [
      series,
      { title: "Bar", cell: (row) => barLink(row, row.open_time) },
      { title: "Rule", cell: (row) => row.rule.replaceAll("_", " ") },
      { title: "Status", cell: (row) => badge(row.status) },
      { title: "Source", cell: (row) => row.source },
      { title: "Seen", number: true, cell: (row) => count(row.times_seen) },
      { title: "Last seen", cell: (row) => time(row.last_seen_at) },
      { title: "As sent", long: true, cell: (row) => details(row.payload) },
      { title: "Note", long: true, cell: (row) => row.note },
    ],
  },
  revisions: {
    title: "Revisions", statuses: all(["provider_correction", "native_restored", "manual", "split"]),
    columns: [
      series,
      { title: "Bar", cell: (row) => barLink(row, row.open_time) },
      { title: "Why", cell: (row) => row.reason.replaceAll("_", " ") },
      { title: "Was (open / high / low / close / volume)", cell: (row) => `${row.source ?? "?"}: ${values(row)}` },
      { title: "Became", cell: (row) => `${row.new_source ?? "?"}: ${values(row, "new_")}` },
      { title: "When", cell: (row) => time(row.revised_at) },
      { title: "Note", long: true, cell: (row) => row.note },
    ],
  },
  runs: {
    title: "Runs", statuses: all(["running", "complete", "partial", "failed", "abandoned"]),
    columns: [
      series,
      { title: "Started", cell: (row) => time(row.started_at) },
      { title: "Took", number: true, cell: (row) => duration(row.finished_at && (Date.parse(row.finished_at) - Date.parse(row.started_at)) / 1000) },
      { title: "Status", cell: (row) => badge(row.status) },
      { title: "Missing", number: true, cell: (row) => `${count(row.missing_before)} → ${count(row.missing_after)}` },
      { title: "Coverage", number: true, cell: (row) => `${percent(row.coverage_before)} → ${percent(row.coverage_after)}` },
      { title: "Requests", number: true, cell: (row) => count(row.requests) },
      { title: "Inserted", number: true, cell: (row) => count(row.rows_inserted) },
      { title: "Revised", number: true, cell: (row) => count(row.rows_revised) },
      { title: "Refused", number: true, cell: (row) => count(row.rows_quarantined) },
      { title: "Sources", cell: (row) => Object.entries(row.sources).map(([source, rows]) => `${source} ${count(rows)}`).join(", ") },
      { title: "Run", cell: (row) => (row.run_id ? runLink(row) : "") },
      { title: "Error", long: true, cell: (row) => row.error ?? "" },
    ],
  },
  "instrument-log": {
    title: "Instrument log",
    statuses: all(["listed", "delisted", "relisted", "renamed", "contract_value_changed", "tick_size_changed", "state_changed", "list_time_changed", "expire_time_changed", "source_changed", "name_reused", "split", "history_carried"]),
    columns: [
      { title: "Instrument", cell: (row) => el("a", { href: `#/?search=${encodeURIComponent(row.symbol)}` }, row.symbol) },
      { title: "When", cell: (row) => time(row.at) },
      { title: "What", cell: (row) => row.what.replaceAll("_", " ") },
      { title: "Was", cell: (row) => row.old ?? "" },
      { title: "Is", cell: (row) => row.new ?? "" },
    ],
  },
};

export const list = (name) => (_, settings) => {
  const { title, statuses, status = "", columns, decisions = [], undecided } = LISTS[name];
  const chosen = { status, offset: 0, ...settings };
  const picked = new Set();
  const pages = el("div");
  const about = el("p");
  const decide = el("div", { class: "bar", hidden: true });
  const pick = { title: "Choose", cell: (row) => (undecided(row) ? el("input", { type: "checkbox", "aria-label": `Choose ${row.id}`,
    onchange: (event) => { picked[event.target.checked ? "add" : "delete"](row.id); count_(); } }) : "") };
  const shown = table(decisions.length ? [...columns, pick] : columns, { caption: title });

  function choose(values) {
    Object.assign(chosen, { offset: 0 }, values);
    picked.clear();
    return draw();
  }
  async function draw() {
    const page = await read(`api/${name}`, { search: chosen.search, symbol: chosen.symbol, timeframe: chosen.timeframe, status: chosen.status,
      dag: chosen.dag, dag_run: chosen.dag_run, task: chosen.task, map_index: chosen.map_index, limit: LIMIT, offset: chosen.offset });
    fill(shown, page.rows, (row) => row.id);
    const only = [chosen.dag, chosen.dag_run, chosen.task, chosen.map_index >= 0 && `map index ${chosen.map_index}`, chosen.symbol].filter(Boolean).join(", ");
    about.replaceChildren(only ? `Only ${only}. ` : "", only ? el("a", { href: `#/${name}` }, "Show all") : "");
    pages.replaceChildren(pager({ offset: chosen.offset, limit: LIMIT, shown: page.rows.length, more: page.more }, (offset) => choose({ offset })));
  }
  const reason = el("input", { type: "text", maxlength: "500", placeholder: "why", oninput: () => count_() });
  const said = el("span", { "aria-live": "polite" });
  const buttons = decisions.map(([text, path]) => el("button", { type: "button", disabled: true, onclick: async () => {
    try {
      const done = await send(path, { ids: [...picked], reason: reason.value }, { headers: { "X-Candles": "decide" } });
      said.textContent = `${text}: ${done.decided}`;
      await choose({});
    } catch (error) {
      said.textContent = error.message;
    }
    count_();
  } }, text));
  function count_() {
    for (const button of buttons) button.disabled = !picked.size || reason.value.trim().length < 3;
  }
  decide.append(el("label", {}, "Reason ", reason), ...buttons, said);
  return {
    node: [focusHeading(title), about,
      el("div", { class: "bar" },
        search("Filter", chosen.search, (value) => choose({ search: value })),
        name === "instrument-log" ? null : choice("Timeframe", TIMEFRAMES, chosen.timeframe, (value) => choose({ timeframe: value })),
        choice(name === "instrument-log" ? "What" : "Status", statuses, chosen.status, (value) => choose({ status: value }))),
      decide, shown.node, pages].filter(Boolean),
    changed: (values) => choose({ dag: null, dag_run: null, task: null, map_index: null, symbol: null, search: null, ...values }),
    async refresh() {
      if (decisions.length) decide.hidden = !(await rights()).may_decide;
      await draw();
    },
  };
};
