// Starts candles_catch_up for one gap through Airflow's own API, as the signed-in user, and follows it to the end.
import { airflow, ask, el, plural, read, runLink, say, send } from "./parts.js";

const DAG = "candles_catch_up";
const LOOK_MS = 2000;
const PATIENCE_MS = 30 * 60_000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function missing(gap) {
  const left = await read("api/gaps", { symbol: gap.symbol, timeframe: gap.timeframe, from: gap.gap_start, to: gap.gap_end, pending: true, limit: 200 });
  return left.rows.reduce((sum, row) => sum + row.missing_candles, 0);
}

export async function fillGap(gap, recheck, button, state, notice) {
  button.disabled = true;
  const show = (...what) => { state.replaceChildren(...what); say(state.textContent); };
  try {
    const run = await send(airflow(`api/v2/dags/${DAG}/dagRuns`), {
      logical_date: null,
      conf: { symbols: [gap.symbol], timeframes: [gap.timeframe], start: gap.gap_start, end: gap.gap_end, recheck },
    });
    const link = runLink({ dag_id: DAG, run_id: run.dag_run_id });
    link.textContent = "run";
    show(link, " queued");
    await warnIfPaused(notice);
    const since = Date.now();
    while (Date.now() - since < PATIENCE_MS && button.isConnected) {
      await pause(LOOK_MS);
      const now = await ask(airflow(`api/v2/dags/${DAG}/dagRuns/${encodeURIComponent(run.dag_run_id)}`));
      const left = await missing(gap);
      if (left === 0) return show(link, " ", el("span", { class: "badge closed" }, "closed"));
      const ended = ["success", "failed"].includes(now.state);
      show(link, ` ${now.state}: ${plural(left, "candle")} ${ended ? "still missing" : "to go"}`);
      if (ended) break;
    }
  } catch (error) {
    show(el("span", { class: "badge failed" }, error.message));
  }
  button.disabled = false;
}

// A paused Dag's runs wait. To unpause it is a decision of its own: its daily runs begin then.
async function warnIfPaused(notice) {
  const url = airflow(`api/v2/dags/${DAG}`);
  if (!(await ask(url)).is_paused) return;
  const unpause = async () => {
    try {
      await send(url, { is_paused: false }, { method: "PATCH" });
      notice.hidden = true;
    } catch (error) {
      notice.append(` ${error.message}`);
    }
  };
  notice.hidden = false;
  notice.replaceChildren(el("a", { href: airflow(`dags/${DAG}`), target: "_top" }, DAG), " is paused, so the run waits. ",
    el("button", { type: "button", onclick: unpause }, "Unpause it"), " Its daily runs begin too.");
}
