// What all pages share: asking the API, writing values, tables. What comes from the database becomes text, never markup.
const NONE = "–";

// --- values ------------------------------------------------------------------------------------------------
export const count = (n) => (n == null ? NONE : Number(n).toLocaleString("en"));
export const moment = (at) => (at == null ? NONE : new Date(at).toISOString().slice(0, 16).replace("T", " "));
export const exactly = (at) => (at == null ? "" : `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`);
// Rounded down, so that only what is complete reads 100 %.
export const percent = (p) => (p == null ? NONE : `${(Math.floor(p * 100) / 100).toFixed(2)} %`);
export const figure = (n) => (n == null ? NONE : String(Number(Number(n).toPrecision(10))));
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

// --- elements ----------------------------------------------------------------------------------------------
export function el(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}
export const time = (at) => el("span", { title: exactly(at) }, moment(at));
export const badge = (word) => el("span", { class: `badge ${word ?? ""}` }, word ?? NONE);
export const seriesPath = (row) => `${encodeURIComponent(row.symbol)}/${encodeURIComponent(row.timeframe)}`;
export const seriesLink = (row) =>
  row.symbol && row.timeframe ? el("a", { href: `#/series/${seriesPath(row)}` }, `${row.symbol} ${row.timeframe}`) : row.symbol ?? NONE;
export const runLink = (row) =>
  el("a", { href: airflow(`dags/${encodeURIComponent(row.dag_id)}/runs/${encodeURIComponent(row.run_id)}`), target: "_top" }, row.run_id);
export const say = (text) => { document.getElementById("said").textContent = text; };
export const focusHeading = (text) => el("h1", { tabindex: "-1" }, text);

// --- asking ------------------------------------------------------------------------------------------------
// The page stands at <prefix>/backfill/, Airflow's own pages and API beside it.
export const airflow = (path) => new URL(`../${path}`, location.href.split("#")[0]).href;

export async function ask(url, options = {}) {
  const response = await fetch(url, { credentials: "same-origin", ...options });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const detail = answer.error ?? answer.detail;
  const why = Array.isArray(detail) ? detail.map((one) => `${one.loc?.at(-1)}: ${one.msg}`).join("; ") : detail;
  if (response.status === 401) throw new Error("You are signed out: sign in to Airflow again.");
  throw new Error(typeof why === "string" ? why : `HTTP ${response.status}`);
}

export const query = (values) => {
  const pairs = Object.entries(values).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).filter((one) => one != null && one !== "" && one !== false).map((one) => [name, one]));
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
};
export const read = (path, values = {}) => ask(path + query(values));
export const send = (url, body, { method = "POST", headers = {} } = {}) =>
  ask(url, { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });

let asked;
// Asked once: roles seldom change while a page is open, and every button's route asks again.
export const rights = () => (asked ??= read("api/rights").catch(() => ({ may_fill: false, may_decide: false })));

// --- tables ------------------------------------------------------------------------------------------------
// `columns`: {title, cell(row) → text or node, number, sort, long}. A column with `sort` is sorted by the server.
export function table(columns, { caption, sorted, onsort, className = "" }) {
  const heads = columns.map((column) => {
    const direction = sorted && column.sort === sorted.by ? (sorted.descending ? "descending" : "ascending") : null;
    const title = column.sort ? el("button", { type: "button", onclick: () => onsort(column.sort) }, column.title) : column.title;
    return el("th", { scope: "col", class: column.number ? "number" : column.className, "aria-sort": direction, title: column.tip }, title);
  });
  const body = el("tbody");
  const node = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: className }, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, heads)), body));
  return { node, body, columns };
}

// Draws only the rows that have changed since the last time.
export function fill({ body, columns }, rows, key, sign = JSON.stringify) {
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const lines = rows.map((row) => {
    const known = old.get(String(key(row)));
    if (known && known.dataset.sign === sign(row)) return known;
    const line = el("tr", {}, columns.map((column, place) => {
      const content = column.cell(row);
      const name = [column.number && "number", column.long && "long", column.cellClass?.(row)].filter(Boolean).join(" ");
      return el(place === 0 ? "th" : "td", { class: name || null, scope: place === 0 ? "row" : null, ...column.settings?.(row) }, content ?? NONE);
    }));
    line.dataset.key = key(row);
    line.dataset.sign = sign(row);
    return line;
  });
  if (!rows.length) lines.push(el("tr", {}, el("td", { colspan: columns.length, class: "quiet" }, "Nothing here.")));
  if (lines.length !== body.rows.length || lines.some((line, place) => line !== body.rows[place])) body.replaceChildren(...lines);
}

export function pager({ offset, limit, shown, total, more }, go) {
  const last = total == null ? !more : offset + shown >= total;
  const what = total == null ? "" : ` of ${count(total)}`;
  return el("div", { class: "bar" },
    el("button", { type: "button", disabled: offset === 0, onclick: () => go(Math.max(0, offset - limit)) }, "← Before"),
    el("span", { class: "quiet" }, shown ? `${count(offset + 1)} to ${count(offset + shown)}${what}` : `0${what}`),
    el("button", { type: "button", disabled: last, onclick: () => go(offset + limit) }, "After →"));
}

export function choice(label, options, value, onchange) {
  const select = el("select", { onchange: () => onchange(select.value) },
    options.map(([name, text]) => el("option", { value: name }, text)));
  select.value = value ?? "";
  return el("label", {}, `${label} `, select);
}
export function search(label, value, onchange) {
  let timer;
  const input = el("input", { type: "search", value: value ?? "", maxlength: "64", placeholder: "part of a symbol",
    oninput: () => { clearTimeout(timer); timer = setTimeout(() => onchange(input.value.trim()), 250); } });
  return el("label", {}, `${label} `, input);
}
export const TIMEFRAMES = [["", "all"], ..."1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 1w".split(" ").map((one) => [one, one])];
