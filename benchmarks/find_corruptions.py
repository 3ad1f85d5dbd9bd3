"""Of bars that somebody corrupted, how many are found, by what, and is any clean bar called corrupt?

Of a liquid pair and three thin ones, with and without longer bars and a second venue, 1 % of the bars are corrupted, in
each of sixteen ways at a time, and go the keeper's way. What breaks a rule is refused and asked for again. What is
stored is compared with the venue's own longer bars, with the joints and moves around it, with its own quote volume and
with the other venue. None of them says which bar is wrong. So the suspects are asked for again at their own source, and
what differs from the answer is corrupt. The answer is the true series here, so this does not measure sources that are
wrong themselves. Of a stretch of wrong bars one suspect is enough: the page that answers holds its neighbours.

Not everything can be seen. "resolvable" counts the bars whose fault is as large as the checks say that they resolve,
measured on the clean series; of those 99 % must be found. What is left is named with its reason.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd  # noqa: TID253
from corrupt_candles import CORRUPTIONS, STRETCHES, Case, Corruption, Mask, Places, cases, same, stretches

from backfill.domain.agreement import CEILING, TIMES_CEILING, compare
from backfill.domain.candle_columns import PRICES, CandleFrame
from backfill.domain.candle_rules import sift
from backfill.domain.continuity import continuity
from backfill.domain.intervals import Interval
from backfill.domain.next_timeframe import aggregate, is_silent, prove
from backfill.domain.quantities import unfitting
from backfill.domain.suspicious_bars import price_jumps
from backfill.domain.timeframes import Timeframe

MARKET = Path(__file__).parents[2] / "shared" / "market"
CHECKS = ("by rule", "longer bar", "joint", "jump", "quantities", "other venue")
HEADER = f"  {'':18}{'corrupt':>8}{'resolvable':>11}{'found':>9}{'of all':>9}" + "".join(
    f"{name:>12}" for name in CHECKS
)


class Found(NamedTuple):
    """Masks over the true bars: suspected by each check, and called corrupt in the end."""

    by: dict[str, Mask]
    corrupt: Mask


class Power(NamedTuple):
    """What the checks say of the clean series: the size of fault that its joints and the pair resolve."""

    joint: float
    pair: float
    silent: Mask


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--market", type=Path, default=MARKET, help="a folder of real candles")
    args.add_argument("--share", type=float, default=0.01, help="of the bars that are corrupted")
    args.add_argument("--seed", type=int, default=1)
    chosen = args.parse_args()
    rng = np.random.default_rng(chosen.seed)
    totals: Counter[str] = Counter()
    for whole in cases(chosen.market):
        for longer, other in ((True, True), (True, False), (False, True), (False, False)):
            case = whole.without(longer=longer, other=other)
            power = _power(case)
            print(f"\n{case.title}; {len(case.true):,} bars of {case.bar.name}")
            print(f"  resolves {_pct(power.joint)} by its joints, {_pct(power.pair)} beside the other venue")
            print(HEADER)
            of_case: Counter[str] = Counter()
            for name, corrupt in {**CORRUPTIONS, **STRETCHES}.items():
                places = np.arange(300, len(case.true))
                at = np.sort(rng.choice(places, round(chosen.share * len(case.true)), replace=False))
                if name in STRETCHES:
                    at = stretches(at, len(case.true))
                of_case += report(case, power, name, corrupt, at)
            share = of_case["found"] / of_case["resolvable"]
            of_all = of_case["found of all"] / of_case["corrupt"]
            print(f"  {share:.2%} of what these data can resolve, {of_all:.2%} of all")
            assert share >= 0.99, f"{1 - share:.2%} were not found"
            totals += of_case
    share = totals["found"] / totals["resolvable"]
    print(
        f"\n{totals['found']:,} of {totals['resolvable']:,} corruptions found that the data can resolve ({share:.2%}), "
        f"{totals['found of all']:,} of all {totals['corrupt']:,}; no clean bar called corrupt"
    )


def report(case: Case, power: Power, name: str, corrupt: Corruption, at: Places) -> Counter[str]:
    """One line of the table. Fails where a clean bar is called corrupt."""
    told = corrupt(case.true, at)
    # A bar as silent as its neighbour is not changed by taking its values; the last row of a bar is the corrupt one.
    last = told.groupby("open_ms").last().reset_index()
    changed = at[~same(last.iloc[at], case.true.iloc[at])]
    wrong = np.zeros(len(case.true), dtype=bool)
    wrong[changed] = True
    found = find(case, told)
    resolvable, why = _resolvable(case, power, last, found)
    is_found, resolvable = found.corrupt & wrong, resolvable & wrong
    if name in STRETCHES:
        is_found, resolvable = _any_of_stretch(is_found, wrong), _any_of_stretch(resolvable, wrong)
    share = float(is_found[resolvable].mean()) if resolvable.any() else 1.0
    called_wrongly = int((found.corrupt & ~wrong).sum())
    shares = "".join(f"{_share(found.by[check], wrong):>12}" for check in CHECKS)
    rest = Counter(why[wrong & ~resolvable & ~is_found].tolist())
    unseen = "; ".join(f"{count:,} {reason}" for reason, count in rest.most_common())
    print(
        f"  {name:18}{len(changed):>8,}{resolvable.sum():>11,}{share:>9.2%}{_share(is_found, wrong):>9}{shares}"
        + (f"  not found: {unseen}" if unseen else "")
    )
    assert called_wrongly == 0, f"{called_wrongly} clean bars were called corrupt"
    return Counter(
        {
            "corrupt": len(changed),
            "found of all": int(is_found.sum()),
            "resolvable": int(resolvable.sum()),
            "found": int((is_found & resolvable).sum()),
        }
    )


def find(case: Case, told: pd.DataFrame) -> Found:
    """What the keeper's own checks say of the rows ``told``."""
    open_ms = case.true["open_ms"]
    flagged = told.assign(closed=True, malformed=False)
    sifted, broken = sift(CandleFrame({name: column.to_numpy() for name, column in flagged.items()}), case.bar)
    sound = sifted.to_pandas()
    refused = open_ms.isin([row.open_ms for row in broken]).to_numpy()
    # What was refused is a gap, and comes from the source again before anything is compared.
    stored = pd.concat([sound[case.true.columns], case.true[refused]]).sort_values("open_ms", ignore_index=True)
    breaks_ms = continuity(stored, case.bar.step_ms).breaks["open_ms"]
    by = {
        "by rule": refused,
        "longer bar": _unlike_longer(case, stored),
        "joint": open_ms.isin({*breaks_ms, *(breaks_ms - case.bar.step_ms)}).to_numpy(),
        "jump": open_ms.isin(price_jumps(stored, case.bar.step_ms)["open_ms"]).to_numpy(),
        "quantities": unfitting(stored),
        "other venue": _disagreeing(case, stored),
    }
    suspects = np.logical_or.reduce([by[check] for check in CHECKS[1:]])
    return Found(by, corrupt=refused | (suspects & ~same(stored, case.true)))


def _unlike_longer(case: Case, stored: pd.DataFrame) -> Mask:
    if case.longer is None:
        return np.zeros(len(stored), dtype=bool)
    opens_ms = case.longer["open_ms"]
    covers = Interval(int(opens_ms.iloc[0]), int(opens_ms.iloc[-1]) + case.longer_bar.step_ms)
    proof = prove(stored, case.longer, case.bar, case.longer_bar, covers, absent=[])
    return _under(case.true, proof.differing["open_ms"], case.longer_bar)


def _disagreeing(case: Case, stored: pd.DataFrame) -> Mask:
    """The bars that another venue's candles do not confirm."""
    if case.other is None:
        return np.zeros(len(stored), dtype=bool)
    comparison = compare(stored, case.other, step_ms=case.bar.step_ms)
    return case.true["open_ms"].isin(comparison.disagreements["open_ms"]).to_numpy()


def _power(case: Case) -> Power:
    """As the checks state it, of the clean series."""
    silent = np.zeros(len(case.true), dtype=bool)
    pair = float("nan")
    if case.other is not None:
        clean = compare(case.true, case.other, step_ms=case.bar.step_ms)
        beside = case.other.set_index("open_ms").reindex(case.true["open_ms"])
        silent = is_silent(case.true) | is_silent(beside) | beside["close"].isna().to_numpy()
        pair = clean.resolves
    return Power(continuity(case.true, case.bar.step_ms).resolves, pair, silent)


def _resolvable(case: Case, power: Power, told: pd.DataFrame, found: Found) -> tuple[Mask, np.ndarray]:
    """Faults as large as the checks resolve; of the others, why none does."""
    moved = np.log(told[PRICES].clip(lower=1e-12).to_numpy() / case.true[PRICES].to_numpy())
    # A fault in all prices shows in their mean, one in a single price beyond the ceiling for single prices.
    level, single = np.abs(moved.mean(axis=1)), np.abs(moved).max(axis=1)
    beside = ~power.silent & ((level >= power.pair) | (single >= TIMES_CEILING * (CEILING + power.pair)))
    joint = np.maximum(np.abs(moved[:, 0]), np.abs(moved[:, -1])) >= 2 * power.joint
    traded = ~is_silent(case.true) & ~is_silent(told)
    joint &= traded & np.roll(traded, 1) & np.roll(traded, -1)
    joint[[0, -1]] = False
    told = told.where(~pd.Series(found.by["by rule"]), case.true)
    by_sum = _sum_shows(case, told)
    seen = found.by["by rule"] | by_sum | joint | beside | found.by["quantities"]
    volume_only = single == 0
    reasons = np.full(len(told), "within what is resolved", dtype=object)
    if case.longer is not None:
        reasons[~by_sum] = "inside the longer bar, and smaller than other checks resolve"
    if case.other is not None:
        reasons[power.silent] = "the other venue did not trade"
    reasons[volume_only] = "a volume that nothing else tells"
    return seen, reasons


def _sum_shows(case: Case, told: pd.DataFrame) -> Mask:
    """Whether the longer bar would be another with this bar's values."""
    if case.longer is None:
        return np.zeros(len(told), dtype=bool)
    summed = aggregate(told.assign(quote_volume=np.nan), case.longer_bar)
    wrong = ~same(summed, aggregate(case.true, case.longer_bar))
    whole = (summed["bars"] == case.longer_bar.step_ms // case.bar.step_ms).to_numpy()
    # Sources differ in what they make of bars without a trade: there either sum will do.
    rests = _under(case.true, case.true["open_ms"][is_silent(told)].map(case.longer_bar.floor), case.longer_bar)
    return _under(case.true, summed["open_ms"][wrong & whole], case.longer_bar) & ~rests


def _any_of_stretch(mask: Mask, wrong: Mask) -> Mask:
    """The whole stretches of which a bar is in the mask."""
    number = np.cumsum(np.diff(wrong.astype(int), prepend=0) == 1)
    return wrong & np.isin(number, np.unique(number[mask & wrong]))


def _under(candles: pd.DataFrame, opens_ms: pd.Series, longer: Timeframe) -> Mask:
    """The candles that lie under those longer bars."""
    open_ms = candles["open_ms"]
    return (open_ms - (open_ms - longer.anchor_ms) % longer.step_ms).isin(opens_ms).to_numpy()


def _share(found: Mask, wrong: Mask) -> str:
    """How many of the wrong bars were found; nothing where there are none left to find."""
    return f"{found[wrong].mean():.2%}" if wrong.any() else "-"


def _pct(size: float) -> str:
    return "nothing" if np.isnan(size) else f"{100 * size:.2g} %"


if __name__ == "__main__":
    main()
