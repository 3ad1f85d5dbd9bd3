// What is not whole, why, and what happens next: totals, sources, and a map of series by day, worst first.
import {
  TIMEFRAMES, airflow, ask, badge, choice, count, duration, el, exactly, fill, focusHeading, moment, pager, percent, plural,
  query, read, search, seriesLink, seriesPath, table, time,
} from "./parts.js";

const MOST_DAYS = 45;
const FEWEST_DAYS = 14;
const DAY_MS = 86_400_000;
const LIMIT = 50;
const STATES = [["", "all"], ["missing", "missing"], ["doubtful", "doubtful"], ["new", "new listings"], ["pending", "pending"], ["whole", "whole"]];
// As its circuit breaker has it.
const STATE_OF_SOURCE = { closed: "well", open: "skipped", half_open: "probed" };
const KEYS = [
  ["whole", "whole"], ["stand-in", "from a stand-in"], ["absent", "without trade"], ["pending", "closed within the hour"],
  ["doubtful", "no source has it: doubtful"], ["some", "some missing"], ["most", "most missing"],
];

// One word and one sentence for a day of a series.
function dayOf(days, place) {
  if (!days || !days.expected[place]) return ["none", "outside the window"];
  const of = (name) => days[name][place];
  const gone = of("missing") - of("doubtful");
  const counted = `${count(of("held"))} of ${count(of("expected"))} candles held`;
  if (gone > 0) return [gone * 2 > of("expected") ? "most" : "some", `${counted}, ${count(of("missing"))} missing`];
  if (of("doubtful") > 0) return ["doubtful", `${counted}, ${count(of("doubtful"))} doubtful`];
  if (of("held") + of("absent") < of("expected")) return ["pending", `${counted}, the others wait for the next run`];
  if (of("stand_in") > 0) return ["stand-in", `${counted}, ${count(of("stand_in"))} from a stand-in`];
  if (of("absent") > 0) return ["absent", `${counted}, ${count(of("absent"))} without trade`];
  return ["whole", counted];
}

// From the first day on that any of the series expects a candle.
function heatCells(firstDay, skipped) {
  return Array.from({ length: MOST_DAYS - skipped }, (_, nth) => {
    const place = nth + skipped;
    const at = new Date(firstDay + place * DAY_MS);
    const monday = at.getUTCDay() === 1;
    const day = at.toISOString().slice(0, 10);
    return {
      title: el("span", { class: monday ? "" : "unseen" }, monday ? day.slice(5) : day),
      className: monday ? "day monday" : "day",
      tip: day,
      cell: () => "",
      cellClass: (row) => `day c-${dayOf(row.days, place)[0]}`,
      settings: (row) => ({ title: `${day}: ${dayOf(row.days, place)[1]}`, "aria-label": `${day}: ${dayOf(row.days, place)[1]}`,
        role: "gridcell", tabindex: "-1", "data-day": place }),
    };
  });
}

export function overview(_, settings) {
  const chosen = { search: settings.search, timeframe: settings.timeframe, status: settings.status, sort: "severity", descending: false, offset: 0 };
  const lead = el("div", { class: "lead" }, "Loading…");
  const totals = table([
    { title: "Timeframe", cell: (row) => row.timeframe },
    { title: "Series", number: true, cell: (row) => count(row.series) },
    { title: "Whole", number: true, cell: (row) => count(row.whole) },
    { title: "Missing", number: true, cell: (row) => count(row.missing + row.doubtful) },
    { title: "New", number: true, cell: (row) => count(row.new) },
    { title: "Candles", number: true, cell: (row) => count(row.total_candles) },
    { title: "Missing candles", number: true, cell: (row) => count(row.overdue_candles) },
  ], { caption: "Totals by timeframe" });
  const sources = table([
    { title: "Source", cell: (row) => row.source },
    { title: "State", cell: (row) => badge(row.paused_until ? "paused" : STATE_OF_SOURCE[row.state]) },
    { title: "48 hours", cell: (row) => hours(row) },
    { title: "Success", number: true, cell: (row) => share(row.answers_24h, row.answers_24h + row.errors_24h), tip: "of the last day's requests" },
    { title: "Candles", number: true, cell: (row) => share(row.rows_24h, row.all_rows), tip: "share of the candles of the last day" },
    { title: "Why", long: true, cell: (row) => (row.state === "closed" && !row.paused_until ? "" : `${row.last_error ?? "paused"}; asked again after ${moment(row.paused_until ?? row.open_until)}`) },
  ], { caption: "Sources" });
  const place = el("div");
  const pages = el("div");
  const filters = el("div", { class: "bar" },
    search("Filter", chosen.search, (value) => choose({ search: value })),
    choice("Timeframe", TIMEFRAMES, chosen.timeframe, (value) => choose({ timeframe: value })),
    choice("State", STATES, chosen.status, (value) => choose({ status: value })),
    el("span", { class: "end quiet" }, KEYS.map(([name, text]) => [el("span", { class: `key c-${name}` }), `${text}  `]).flat()));
  let map;

  function choose(values) {
    Object.assign(chosen, { offset: 0 }, values);
    return draw();
  }
  function sort(by) {
    choose({ sort: by, descending: chosen.sort === by ? !chosen.descending : by === "missing" });
  }
  async function draw() {
    const page = await read("api/coverage", { search: chosen.search, timeframe: chosen.timeframe, status: chosen.status,
      sort: chosen.sort, descending: chosen.descending, limit: LIMIT, offset: chosen.offset });
    const ids = page.rows.map((row) => row.series_id);
    const heat = ids.length ? await read("api/heat", { series: ids, days: MOST_DAYS }) : { first_day: page.read_at, rows: [] };
    const days = new Map(heat.rows.map((row) => [row.series_id, row]));
    const empty = Math.min(...heat.rows.map((row) => row.expected.findIndex((bars) => bars > 0)).map((day) => (day < 0 ? MOST_DAYS : day)));
    const skipped = Math.min(empty, MOST_DAYS - FEWEST_DAYS);
    const drawn = `${heat.first_day} ${skipped} ${chosen.sort} ${chosen.descending}`;
    if (map?.drawn !== drawn) {
      map = { ...table(columns(Date.parse(heat.first_day), skipped), { caption: "Series by day", className: "heat",
        sorted: { by: chosen.sort, descending: chosen.descending }, onsort: sort }), drawn, first: Date.parse(heat.first_day) };
      map.body.addEventListener("keydown", walk);
      map.body.addEventListener("click", open);
      place.replaceChildren(map.node);
    }
    fill(map, page.rows.map((row) => ({ ...row, days: days.get(row.series_id) })), (row) => row.series_id);
    map.body.querySelector("td.day")?.setAttribute("tabindex", "0");
    pages.replaceChildren(pager({ offset: chosen.offset, limit: LIMIT, shown: page.rows.length, total: page.total }, (offset) => choose({ offset })));
    return page;
  }
  // One stop for the tab key; arrows move within the map.
  function walk(event) {
    const cell = event.target.closest("td.day");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!cell) return;
    if (event.key === "Enter") return open(event);
    if (!step) return;
    event.preventDefault();
    const row = map.body.rows[cell.parentNode.sectionRowIndex + step[0]];
    const next = row?.querySelector(`[data-day="${Number(cell.dataset.day) + step[1]}"]`);
    if (!next) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
  function open(event) {
    const cell = event.target.closest("td.day");
    if (!cell || cell.classList.contains("c-none")) return;
    const row = JSON.parse(cell.parentNode.dataset.sign);
    const from = map.first + Number(cell.dataset.day) * DAY_MS;
    const span = { from: new Date(from).toISOString(), to: new Date(from + DAY_MS).toISOString() };
    location.hash = cell.matches(".c-some, .c-most, .c-doubtful")
      ? `#/gaps${query({ symbol: row.symbol, timeframe: row.timeframe, ...span })}`
      : `#/series/${seriesPath(row)}${query(span)}`;
  }

  return {
    node: [focusHeading("Overview"), lead,
      el("div", { class: "columns" }, el("section", {}, el("h2", {}, "Timeframes"), totals.node), el("section", {}, el("h2", {}, "Sources"), sources.node)),
      el("h2", {}, "Series by day, worst first"), filters, place, pages],
    changed: (values) => choose({ search: values.search, timeframe: values.timeframe, status: values.status }),
    async refresh() {
      const filtered = chosen.search || chosen.timeframe || chosen.status;
      const drawn = draw();
      const [page, all, known, left, next] = await Promise.all([
        drawn, filtered ? read("api/coverage", { limit: 1 }) : drawn, read("api/sources"), read("api/progress"), nextRun()]);
      fill(totals, all.totals, (row) => row.timeframe);
      const rows = known.rows.reduce((sum, row) => sum + row.rows_24h, 0);
      fill(sources, known.rows.filter((row) => row.answers_24h + row.errors_24h > 0 || row.state !== "closed" || row.paused_until)
        .map((row) => ({ ...row, all_rows: rows, hours: known.hours.filter((hour) => hour.source === row.source) })), (row) => row.source);
      lead.replaceChildren(...sentences(all.totals, left, next));
      return page;
    },
  };
}

function columns(firstDay, skipped) {
  return [
    { title: "Symbol", sort: "symbol", cell: seriesLink },
    { title: "State", sort: "severity", cell: (row) => el("span", { title: row.error_message }, badge(row.state)) },
    { title: "Coverage", sort: "coverage", number: true, cell: (row) => percent(row.coverage_pct) },
    { title: "Missing", sort: "missing", number: true, tip: "candles that closed more than an hour ago",
      cell: (row) => (row.overdue_candles ? el("a", { href: `#/gaps${query({ symbol: row.symbol, timeframe: row.timeframe })}` }, count(row.overdue_candles)) : "0") },
    ...heatCells(firstDay, skipped),
    { title: "Newest", sort: "newest", cell: (row) => time(row.newest_data) },
    { title: "Last run", cell: (row) => el("span", { class: "quiet", title: row.error_message ?? exactly(row.last_sync) },
      row.last_run ? `${row.last_run} ${moment(row.last_sync)}` : "none yet") },
  ];
}

function sentences(totals, left, next) {
  const sum = (name) => totals.reduce((all, row) => all + row[name], 0);
  const broken = sum("missing") + sum("doubtful");
  const lines = [el("p", {}, broken
    ? [el("a", { href: "#/gaps" }, `${count(broken)} of ${plural(sum("series"), "series", "series")} ${broken === 1 ? "is" : "are"} not whole`),
      `: ${plural(sum("overdue_candles"), "candle")} missing${sum("doubtful") ? `, in ${count(sum("doubtful"))} of them all doubtful` : ""}.`]
    : `All of ${plural(sum("series"), "series", "series")} are whole.`)];
  if (sum("new")) lines.push(el("p", {}, el("a", { href: "#/?status=new" }, plural(sum("new"), "new listing")), " of the last three days still being filled."));
  const pending = sum("pending_candles");
  const wait = pending ? `${plural(pending, "candle")} closed within the last hour and not stored yet. ` : "";
  const pace = left.hours_left == null || !left.candles_left ? ""
    : `At the rate of the last runs everything is there in ${left.hours_left < 1 / 60 ? "less than a minute" : duration(left.hours_left * 3600)}. `;
  lines.push(el("p", { class: "quiet" }, wait, pace, ...next));
  return lines;
}

// Airflow says when its Dag runs next; without an answer the page does without.
async function nextRun() {
  const dag = await ask(airflow("api/v2/dags/candles_fill_gaps")).catch(() => null);
  if (!dag) return [];
  const link = el("a", { href: airflow("dags/candles_fill_gaps"), target: "_top" }, "candles_fill_gaps");
  if (dag.is_paused) return [link, " is paused: no run will come until it is unpaused."];
  const at = dag.next_dagrun_run_after;
  return at ? ["The next run of ", link, ` ${Date.parse(at) > Date.now() ? "is" : "was"} due at ${moment(at)}.`] : [];
}

const share = (part, all) => (all ? percent((100 * part) / all) : "–");

// Answers and errors by hour, each hour as high as its share of successes.
function hours(row) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 48 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "line");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Success of ${row.source} in the last 48 hours`);
  const newest = Math.floor(Date.now() / 3_600_000);
  for (const hour of row.hours) {
    const x = 47 - (newest - Math.floor(Date.parse(hour.hour) / 3_600_000));
    const good = hour.answers / (hour.answers + hour.errors || 1);
    for (const [name, y, height] of [["errors", 0, 10 * (1 - good)], ["answers", 10 * (1 - good), 10 * good]]) {
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [key, value] of Object.entries({ class: name, x, y, width: 0.8, height })) bar.setAttribute(key, value);
      svg.append(bar);
    }
  }
  return svg;
}
