"""What does the keeper say of each fault and each non-fault that ../shared/market/INDEX.md lists?

Real candles are served by exchanges on paper, stored by the keeper's own fill and validated as a Dag would, on a
throw-away Postgres. One line for each thing: what the keeper made of it, and whether that is right. Then two venues of
one instrument at a time: on how many bars the keeper says that they disagree, and each of those bars with its reason.
The cases are those of tests/integration/validation.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from throw_away import throw_away_home

from backfill.domain.timeframes import utc
from backfill.local.embedded_postgres import EmbeddedPostgres
from backfill.storage.database import connect
from backfill.storage.migrations import migrate

sys.path.append(str(Path(__file__).parents[1] / "tests"))

if TYPE_CHECKING:
    from integration.validation.keeper_on_paper import Keeper
    from integration.validation.real_pairs import Outcome, Pair

NewKeeper = Callable[[], "Keeper"]
WIDTH = 62


def main() -> None:
    from reference import SHARED

    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not (SHARED / "market").is_dir():
        print(f"{SHARED}/market is not there: nothing to look at")
        return
    with keepers() as new_keeper:
        wrong = faults(new_keeper) + pairs(new_keeper)
    assert not wrong, f"{wrong} verdicts are wrong"


def faults(new_keeper: NewKeeper) -> int:
    """The table of faults; how many verdicts are wrong."""
    from integration.validation.real_faults import CASES

    verdicts = wrong = 0
    for listed, cases in CASES.items():
        for case in cases:
            with new_keeper() as keeper:
                lines = case(keeper)
            print(f"\n{listed}: {' '.join((case.__doc__ or '').split())}")
            for line in lines:
                is_right = line.said == line.right
                told = "" if is_right else f", not {_short(line.right)}"
                print(f"  {'right' if is_right else 'WRONG':7}{line.of:{WIDTH}}{_short(line.said)}{told}")
                verdicts, wrong = verdicts + 1, wrong + (not is_right)
    print(f"\n{verdicts - wrong} of {verdicts} verdicts right")
    return wrong


def pairs(new_keeper: NewKeeper) -> int:
    """The table of pairs; how many of them come out wrong."""
    from integration.validation.real_pairs import PERPETUALS, SPOT_AND_PERPETUAL, compare_pair

    wrong = compared = disputed = 0
    print(f"\n{'primary | other, at':100}{'bars':>8}{'disagree':>10}{'share':>9}{'unexplained':>13}  other findings")
    for pair in [*PERPETUALS, *SPOT_AND_PERPETUAL]:
        with new_keeper() as keeper:
            outcome = compare_pair(keeper, pair)
        _print_pair(pair, outcome)
        if pair in PERPETUALS:
            compared, disputed = compared + outcome.in_common, disputed + len(outcome.disputes)
            wrong += any(one.why is None for one in outcome.disputes) or "wrong_instrument" in outcome.kinds
    print(f"\nof two perpetuals: {disputed} of {compared:,} bars disagree ({disputed / compared:.3%})")
    return wrong


def _print_pair(pair: Pair, outcome: Outcome) -> None:
    unexplained = sum(one.why is None for one in outcome.disputes)
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.kinds.items()))
    print(
        f"{f'{pair.primary} | {pair.other}, {pair.at}':100}{outcome.in_common:>8,}{len(outcome.disputes):>10}"
        f"{outcome.share:>9.3%}{unexplained:>13}  {found}"
    )
    for one in outcome.disputes:
        fields = "/".join(field for field in ("open", "high", "low", "close") if field in one.fields)
        print(
            f"    {utc(one.open_ms):%F %R}  {fields:20}{one.apart_bp:+7.1f} bp of {one.tolerated_bp:4.1f}, range "
            f"{one.moved:3.1f} x usual: {one.why or '?'}\n"
            f"{'':22}{_bar(one.primary)}\n{'':22}{_bar(one.other)}"
        )


def _bar(values: tuple[float, ...]) -> str:
    *prices, volume = values
    return "  ".join(f"{price:>10,.2f}" for price in prices) + f"  volume {volume:,.0f}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


@contextmanager
def keepers() -> Iterator[NewKeeper]:
    """Makes keepers, each with a database of its own on one server that does not wait for the disk."""
    from integration.validation.keeper_on_paper import Keeper
    from reference import REAL, Market

    with throw_away_home() as home, ExitStack() as at_the_end:
        server = EmbeddedPostgres(home, durable=False)
        at_the_end.callback(server.remove)
        server.start()
        numbers = itertools.count(1)

        def new_keeper() -> Keeper:
            name = f"keeper_{next(numbers)}"
            server.ensure_database(name)
            with connect(server.uri(name)) as connection:
                migrate(connection)
            return Keeper(server.uri(name), Market(REAL))

        yield new_keeper


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s")
