// Reads the two endpoints every half minute. Whatever comes from the database becomes text, never markup.
"use strict";

const REFRESH_MS = 30_000;
const byId = (id) => document.getElementById(id);

// --- how values look ---------------------------------------------------------------------------------------
const NONE = "–";
const count = (n) => (n === null ? NONE : Number(n).toLocaleString("en"));
const moment = (iso) => (iso === null ? NONE : iso.slice(0, 16).replace("T", " "));
const tip = (iso) => (iso === null ? "" : `${iso.slice(0, 19).replace("T", " ")} UTC`);
// Rounded down, so that only what is complete reads 100 %.
const percent = (p) => (p === null ? NONE : `${(Math.floor(p * 100) / 100).toFixed(2)} %`);

function duration(from, to) {
  if (to === null) return NONE;
  const seconds = (Date.parse(to) - Date.parse(from)) / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

// --- cells -------------------------------------------------------------------------------------------------
function cell(text, { className = "", title = "" } = {}) {
  const td = document.createElement("td");
  td.textContent = text ?? NONE;
  td.className = className;
  td.title = title;
  return td;
}
const numberCell = (n) => cell(count(n), { className: "number" });
const timeCell = (iso) => cell(moment(iso), { title: tip(iso) });
// A young coin's history is whole too; there is no more of it.
const WHOLE = ["complete", "insufficient_history"];
const statusCell = (status) => cell(status, { className: `status ${status}` });
const longCell = (text) => cell(text, { className: "long quiet", title: text ?? "" });

function coverageCell(pct) {
  const td = cell(percent(pct));
  const meter = document.createElement("meter");
  Object.assign(meter, { min: 0, max: 100, low: 90, high: 99.99, optimum: 100, value: pct ?? 0 });
  td.prepend(meter);
  return td;
}

// --- rows --------------------------------------------------------------------------------------------------
const coverageRow = (row) => [
  cell(row.symbol), cell(row.timeframe), statusCell(row.status), coverageCell(row.coverage_pct),
  numberCell(row.missing_candles), numberCell(row.expected_candles), numberCell(row.absent_candles),
  timeCell(row.oldest_data), timeCell(row.newest_data), timeCell(row.last_sync), longCell(row.error_message),
];

const runRow = (row) => [
  timeCell(row.started_at), cell(duration(row.started_at, row.finished_at), { className: "number" }),
  cell(row.symbol), cell(row.timeframe), statusCell(row.status),
  cell(row.task_id, { className: "quiet", title: `${row.dag_id} ${row.run_id}, map index ${row.map_index}, try ${row.try_number}` }),
  cell(`${moment(row.window_start)} – ${moment(row.window_end)}`),
  cell(`${count(row.missing_before)} → ${count(row.missing_after)}`, { className: "number" }),
  numberCell(row.requests), numberCell(row.rows_inserted), numberCell(row.rows_revised),
  numberCell(row.rows_quarantined), numberCell(row.absent_found),
  cell(`${percent(row.coverage_before)} → ${percent(row.coverage_after)}`),
  longCell(Object.entries(row.sources).map(([source, rows]) => `${source} ${count(rows)}`).join(", ") || null),
  longCell(row.error),
];

// --- page --------------------------------------------------------------------------------------------------
const shown = { coverage: [], runs: [] };

function fill(tableId, rows, makeCells) {
  const wanted = byId("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const lines = rows
    .filter((row) => wanted.every((word) => `${row.symbol} ${row.timeframe} ${row.status}`.toLowerCase().includes(word)))
    .map((row) => {
      const tr = document.createElement("tr");
      tr.append(...makeCells(row));
      return tr;
    });
  byId(tableId).tBodies[0].replaceChildren(...lines);
}

function draw() {
  fill("coverage", shown.coverage, coverageRow);
  fill("runs", shown.runs, runRow);
}

async function read(endpoint) {
  const response = await fetch(endpoint, { credentials: "same-origin" });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? answer.detail ?? `${endpoint}: HTTP ${response.status}`);
  return answer;
}

async function refresh() {
  try {
    const [coverage, runs] = await Promise.all([read("api/coverage"), read("api/runs")]);
    shown.coverage = coverage.rows;
    shown.runs = runs.rows;
    const complete = coverage.rows.filter((row) => WHOLE.includes(row.status)).length;
    byId("summary").textContent = `${complete} of ${coverage.rows.length} series complete, as of ${tip(coverage.read_at)}`;
    byId("problem").hidden = true;
    draw();
  } catch (error) {
    byId("problem").textContent = `What you see may be old. ${error.message}`;
    byId("problem").hidden = false;
  }
}

// --- Airflow's own choice of theme, else the system's ------------------------------------------------------
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");

function applyTheme() {
  const chosen = localStorage.getItem("theme");
  const dark = chosen === "dark" || (chosen !== "light" && systemIsDark.matches);
  document.documentElement.classList.toggle("dark", dark);
}

applyTheme();
systemIsDark.addEventListener("change", applyTheme);
window.addEventListener("storage", applyTheme);
byId("filter").addEventListener("input", draw);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || refresh(), REFRESH_MS);
refresh();
