"""Of bars that somebody corrupted, how many are found, by what, and is any clean bar called corrupt?

A copy of a real series has 1 % of its bars corrupted, in each of five ways at a time, and goes the keeper's way. What
breaks a rule is refused and asked for again. What is stored is compared with the venue's own longer bars, with the
moves around it and with another venue's candles. None of them says which bar is wrong. So the suspects are asked for
again at their own source, and what differs from the answer is corrupt: the column "found". The answer is the true
series here, so this does not measure sources that are wrong themselves.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd  # noqa: TID253
from corrupt_candles import CORRUPTIONS, Case, Mask, Places, cases, same

from backfill.domain.agreement import compare
from backfill.domain.candle_columns import CandleFrame
from backfill.domain.candle_rules import sift
from backfill.domain.intervals import Interval
from backfill.domain.next_timeframe import aggregate, prove
from backfill.domain.suspicious_bars import price_jumps
from backfill.domain.timeframes import Timeframe

MARKET = Path(__file__).parents[2] / "shared" / "market"
HEADER = (
    f"  {'':12}{'corrupt':>8}{'unchanged':>11}{'by rule':>10}{'longer bar':>12}{'jump':>9}{'other venue':>13}"
    f"{'found':>9}{'asked again':>13}{'called wrongly':>16}"
)


class Found(NamedTuple):
    """Masks over the true bars: refused by a rule, suspected for each reason, and called corrupt in the end."""

    refused: Mask
    by_longer: Mask
    by_jump: Mask
    by_other: Mask
    corrupt: Mask


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--market", type=Path, default=MARKET, help="a folder of real candles")
    args.add_argument("--share", type=float, default=0.01, help="of the bars that are corrupted")
    args.add_argument("--seed", type=int, default=1)
    chosen = args.parse_args()
    rng = np.random.default_rng(chosen.seed)
    corrupted = found = 0
    for case in cases(chosen.market):
        print(f"\n{case.title}" + (f"; other venue at {case.other_bar.name}" if case.other is not None else ""))
        print(HEADER)
        for corrupt in CORRUPTIONS:
            at = np.sort(rng.choice(np.arange(1, len(case.true)), round(chosen.share * len(case.true)), replace=False))
            one_corrupted, one_found = report(case, corrupt, at)
            corrupted, found = corrupted + one_corrupted, found + one_found
    print(f"\n{found:,} of {corrupted:,} corruptions found ({found / corrupted:.2%}), no clean bar called corrupt")


def report(case: Case, corrupt: Callable[[pd.DataFrame, Places], pd.DataFrame], at: Places) -> tuple[int, int]:
    """One line of the table: how many were corrupted and found.

    Fails where less than 99 % is found or a clean bar is called corrupt.
    """
    told = corrupt(case.true, at)
    # A bar as silent as its neighbour is not changed by taking its values; the last row of a bar is the corrupt one.
    changed = at[~same(told.groupby("open_ms").last().iloc[at], case.true.iloc[at])]
    wrong = np.zeros(len(case.true), dtype=bool)
    wrong[changed] = True
    found = find(case, told)
    stored_wrong = wrong & ~found.refused
    share_found = float(found.corrupt[changed].mean())
    called_wrongly = int((found.corrupt & ~wrong).sum())
    asked_again = int((found.refused | found.by_longer | found.by_jump | found.by_other).sum())
    print(
        f"  {corrupt.__name__:12}{len(changed):>8,}{len(at) - len(changed):>11,}{_share(found.refused, wrong):>10}"
        f"{_share(found.by_longer, stored_wrong):>12}{_share(found.by_jump, stored_wrong):>9}"
        f"{_share(found.by_other, stored_wrong & _spoken_for(case)) if case.other is not None else '':>13}"
        f"{share_found:>9.2%}{asked_again:>13,}{called_wrongly:>16,}"
    )
    assert share_found >= 0.99, f"{1 - share_found:.2%} were not found"
    assert called_wrongly == 0, f"{called_wrongly} clean bars were called corrupt"
    return len(changed), int(found.corrupt[changed].sum())


def find(case: Case, told: pd.DataFrame) -> Found:
    """What the keeper's own checks say of the rows ``told``."""
    open_ms = case.true["open_ms"]
    flagged = told.assign(closed=True, malformed=False)
    sifted, broken = sift(CandleFrame({name: column.to_numpy() for name, column in flagged.items()}), case.bar)
    sound = sifted.to_pandas()
    refused = open_ms.isin([row.open_ms for row in broken]).to_numpy()
    # What was refused is a gap, and comes from the source again before anything is compared.
    stored = pd.concat([sound[case.true.columns], case.true[refused]]).sort_values("open_ms", ignore_index=True)

    covers = Interval(
        int(case.longer["open_ms"].iloc[0]), int(case.longer["open_ms"].iloc[-1]) + case.longer_bar.step_ms
    )
    proof = prove(stored, case.longer, case.bar, case.longer_bar, covers, absent=[])
    by_longer = _under(case.true, proof.differing["open_ms"], case.longer_bar)
    by_jump = open_ms.isin(price_jumps(stored, case.bar.step_ms)["open_ms"]).to_numpy()
    by_other = _disagreeing(case, stored)

    suspects = by_longer | by_jump | by_other
    return Found(refused, by_longer, by_jump, by_other, corrupt=refused | (suspects & ~same(stored, case.true)))


def _disagreeing(case: Case, stored: pd.DataFrame) -> Mask:
    """The bars that another venue's candles do not confirm; at the coarser of the two timeframes."""
    if case.other is None:
        return np.zeros(len(stored), dtype=bool)
    at = max(case.bar, case.other_bar, key=lambda bar: bar.step_ms)
    comparison = compare(_whole(stored, case.bar, at), _whole(case.other, case.other_bar, at), step_ms=at.step_ms)
    return _under(case.true, comparison.disagreements["open_ms"], at)


def _spoken_for(case: Case) -> Mask:
    """The bars of which the other venue has a candle."""
    assert case.other is not None
    at = max(case.bar, case.other_bar, key=lambda bar: bar.step_ms)
    mine, theirs = _whole(case.true, case.bar, at), _whole(case.other, case.other_bar, at)
    return _under(case.true, mine.loc[mine["open_ms"].isin(theirs["open_ms"]), "open_ms"], at)


def _whole(candles: pd.DataFrame, bar: Timeframe, at: Timeframe) -> pd.DataFrame:
    """Candles at a timeframe, without the bars of which some are missing."""
    if bar == at:
        return candles
    summed = aggregate(candles, at)
    return summed[summed["bars"] == at.step_ms // bar.step_ms]


def _under(candles: pd.DataFrame, opens_ms: pd.Series, longer: Timeframe) -> Mask:
    """The candles that lie under those longer bars."""
    open_ms = candles["open_ms"]
    return (open_ms - (open_ms - longer.anchor_ms) % longer.step_ms).isin(opens_ms).to_numpy()


def _share(found: Mask, wrong: Mask) -> str:
    """How many of the wrong bars were found; nothing where there are none left to find."""
    return f"{found[wrong].mean():.2%}" if wrong.any() else "-"


if __name__ == "__main__":
    main()
