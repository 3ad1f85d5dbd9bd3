"""How long it takes to compare a million stored candles with another venue's, beside a loop over rows.

The loop is what the older systems did (seeds/003): it joins two frames and walks them row by row, with one tolerance
for all. The comparison does more: a tolerance of each bar's own, the venues' offset, the bars that one side lacks. Both
have to find the bars that were corrupted. The million is nearly two years of minutes; the loop walks two weeks.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd  # noqa: TID253
from throw_away import Stopwatch, spread

from backfill.domain.agreement import BP, CEILING, compare
from backfill.domain.candle_columns import PRICES
from backfill.domain.timeframes import MINUTE_MS

BARS, WALKED = 1_000_000, 20_000
START_MS = 1_700_000_040_000
MOVE, NOISE, OFFSET = 3 * BP, 0.3 * BP, 2 * BP
ONE_CORRUPT_IN, CORRUPT = 1_000, 1.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 101), metavar="1..100")
    rounds = parser.parse_args().rounds
    stored, other = _two_venues()
    few_stored, few_other = stored[:WALKED], other[:WALKED]
    all_bars, few_bars, loop = f"compare {BARS:,} bars", f"compare {WALKED:,} bars", f"walk {WALKED:,} bars"
    watch = Stopwatch()
    for _ in range(rounds + 1):
        watch.start_round()
        with watch.timing(all_bars):
            found = compare(stored, other, step_ms=MINUTE_MS)
        with watch.timing(few_bars):
            compare(few_stored, few_other, step_ms=MINUTE_MS)
        with watch.timing(loop):
            walked = _walk(few_stored, few_other, CEILING)
    del watch.rounds[0]  # it has warmed up
    corrupt = set(stored["open_ms"][::ONE_CORRUPT_IN])
    assert set(found.disagreements["open_ms"]) == corrupt, "the comparison must find what was corrupted"
    assert {row["open_ms"] for row in walked} == {t for t in corrupt if t <= few_stored["open_ms"].iloc[-1]}

    print(f"median of {rounds} rounds (range); {len(corrupt):,} corrupted bars, all of them found and no other")
    for what, bars in ((all_bars, BARS), (few_bars, WALKED), (loop, WALKED)):
        seconds = watch.seconds(what)
        per_bar = spread([1e6 * s / bars for s in seconds], ".2f")
        print(f"  {what:24}{spread([1000 * s for s in seconds], '.0f'):26} ms {per_bar:24} us a bar")
    for what, bars in ((all_bars, BARS), (few_bars, WALKED)):
        times = [ratio * bars / WALKED for ratio in watch.ratios(what, loop)]
        print(f"  a bar is compared {spread(times, '.0f')} times as fast as walked ({bars:,} bars)")


def _two_venues() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A walk with every thousandth bar corrupted, and the same a little apart."""
    rng = np.random.default_rng(1)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, MOVE, BARS)))
    opens = np.concatenate(([100.0], closes[:-1]))
    wicks = np.exp(np.abs(rng.normal(0, MOVE, (2, BARS))))
    prices = {
        "open": opens,
        "high": np.maximum(opens, closes) * wicks[0],
        "low": np.minimum(opens, closes) / wicks[1],
        "close": closes,
    }
    open_ms = START_MS + MINUTE_MS * np.arange(BARS)
    true = pd.DataFrame({"open_ms": open_ms, **prices, "volume": rng.gamma(2, 3, BARS), "quote_volume": np.nan})
    stored, other = true, true.copy()
    drift = OFFSET * np.sin(np.arange(BARS) / 2_000)
    other[PRICES] *= (1 + drift)[:, None] * (1 + rng.normal(0, NOISE, (BARS, 4)))
    stored.loc[::ONE_CORRUPT_IN, PRICES] *= CORRUPT
    return stored, other


def _walk(stored: pd.DataFrame, other: pd.DataFrame, tolerance: float) -> list[dict[str, object]]:
    """As seeds/003 compares: an inner join, then each row, then each price."""
    joined = stored.merge(other, on="open_ms", how="inner", suffixes=("_stored", "_other"))
    found = []
    for _, row in joined.iterrows():
        for field in PRICES:
            mine, theirs = row[f"{field}_stored"], row[f"{field}_other"]
            if pd.notna(mine) and pd.notna(theirs):
                difference = abs(mine - theirs) / theirs
                if difference > tolerance:
                    found.append(
                        {
                            "open_ms": row["open_ms"],
                            "field": field,
                            "stored": mine,
                            "other": theirs,
                            "difference": difference,
                        }
                    )
    return found


if __name__ == "__main__":
    main()
