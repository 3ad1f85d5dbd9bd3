"""``python -m backfill.paper``: serve paper exchanges until Ctrl-C.

By default it serves Blofin and prints its address. With ``--exchanges`` each exchange over one market has its own port;
a line of JSON gives name and address.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Sequence

from backfill.domain.timeframes import DAY_MS
from backfill.errors import ConfigurationError
from backfill.paper.coins import LIQUID_COINS, MULTIPLIED_COINS, STOCK_LIKE_COINS, made_up_coins
from backfill.paper.limits import NO_LIMITS
from backfill.paper.market import PaperMarket
from backfill.paper.replayed_market import ReplayedMarket
from backfill.paper.server import PaperExchange, serve_together, wall_clock_ms
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venues import ALL_NAMES, TRAPS, paper_exchange


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the chosen exchanges; exit code 2 for bad settings."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.select and arguments.replay is None:
        parser.error("--select chooses among the files of --replay")
    try:
        exchanges = _exchanges(arguments)
        servers = [exchange.server() for exchange in exchanges.values()]
    except ConfigurationError as error:
        print(f"backfill.paper: {error}", file=sys.stderr)
        return 2
    for name, exchange in exchanges.items():
        print(json.dumps({"exchange": name, "url": exchange.url}) if arguments.exchanges else exchange.url, flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has shut down and raises it again
        serve_together(servers)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m backfill.paper",
        description="Pretend exchanges on 127.0.0.1, over a made-up market or a folder of real candles.",
    )
    parser.add_argument(
        "--exchanges", type=_names(ALL_NAMES), default=(), help=f"of {', '.join(ALL_NAMES)}; default: blofin"
    )
    parser.add_argument("--port", type=int, default=0, help="of the first, the others follow; default: free ones")
    parser.add_argument("--replay", metavar="DIR", help="serve these files of candles, moved to end now")
    parser.add_argument("--select", action="append", metavar="GLOB", help="which of them (names without .csv.gz)")
    parser.add_argument("--seed", type=int, default=7, help="of the made-up market (default: %(default)s)")
    parser.add_argument("--instruments", type=int, default=len(LIQUID_COINS), help="how many it has")
    parser.add_argument("--more-coins", action="store_true", help="and 1000BONK, 10000SATS, TSLA and others like them")
    parser.add_argument(
        "--difference-bp", type=float, help="of other venues' prices from Blofin's; default: 1, replayed 0"
    )
    parser.add_argument("--traps", type=_names(TRAPS), default=(), help=f"of {', '.join(TRAPS)}: see venues.py")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait before each answer")
    parser.add_argument("--no-limits", action="store_true", help="never refuse who asks too often")
    return parser


def _names(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        given = tuple(text.split(","))
        unknown = [name for name in given if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
        return given

    return names


def _exchanges(arguments: argparse.Namespace) -> dict[str, PaperExchange]:
    market = _market(arguments)
    usual_bp = 0.0 if arguments.replay else 1.0
    return {
        name: paper_exchange(
            name,
            market,
            difference_bp=usual_bp if arguments.difference_bp is None else arguments.difference_bp,
            own_volumes=arguments.replay is None,
            traps=arguments.traps,
            limits=NO_LIMITS if arguments.no_limits else None,
            latency_ms=arguments.latency_ms,
            port=arguments.port + number if arguments.port else 0,
        )
        for number, name in enumerate(arguments.exchanges or ("blofin",))
    }


def _market(arguments: argparse.Namespace) -> PaperMarket:
    if arguments.replay is not None:
        return ReplayedMarket(arguments.replay, select=arguments.select or "*")
    today_ms = wall_clock_ms() // DAY_MS * DAY_MS
    made_up = made_up_coins(max(0, arguments.instruments - len(LIQUID_COINS)), as_of_ms=today_ms)
    named = [*MULTIPLIED_COINS, *STOCK_LIKE_COINS] if arguments.more_coins else []
    return SyntheticMarket(arguments.seed, coins=[*[*LIQUID_COINS, *made_up][: arguments.instruments], *named])


if __name__ == "__main__":
    raise SystemExit(main())
