"""``python -m backfill.paper``: serve a paper exchange until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

from backfill.domain.timeframes import DAY_MS
from backfill.errors import ConfigurationError
from backfill.paper.coins import LIQUID_COINS, made_up_coins
from backfill.paper.limits import NO_LIMITS
from backfill.paper.market import Market
from backfill.paper.replayed_market import ReplayedMarket
from backfill.paper.server import PaperExchange, wall_clock_ms
from backfill.paper.synthetic_market import SyntheticMarket


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.select and arguments.replay is None:
        parser.error("--select chooses among the files of --replay")
    try:
        exchange = PaperExchange(
            _market(arguments),
            limits=NO_LIMITS if arguments.no_limits else None,
            latency_ms=arguments.latency_ms,
            port=arguments.port,
        )
        server, listener = exchange.server()
    except ConfigurationError as error:
        print(f"backfill.paper: {error}", file=sys.stderr)
        return 2
    print(exchange.url, flush=True)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has stopped in good order and passes it on
        server.run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m backfill.paper",
        description="A pretend Blofin on 127.0.0.1, over a made-up market or a folder of real candles.",
    )
    parser.add_argument("--port", type=int, default=0, help="default: a free one; the address is printed")
    parser.add_argument("--replay", metavar="DIR", help="serve these files of candles, moved to end now")
    parser.add_argument("--select", action="append", metavar="GLOB", help="which of them (names without .csv.gz)")
    parser.add_argument("--seed", type=int, default=7, help="of the made-up market (default: %(default)s)")
    parser.add_argument("--instruments", type=int, default=len(LIQUID_COINS), help="how many it has")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait before each answer")
    parser.add_argument("--no-limits", action="store_true", help="never refuse who asks too often")
    return parser


def _market(arguments: argparse.Namespace) -> Market:
    if arguments.replay is not None:
        return ReplayedMarket(arguments.replay, select=arguments.select or "*")
    today_ms = wall_clock_ms() // DAY_MS * DAY_MS
    more = made_up_coins(max(0, arguments.instruments - len(LIQUID_COINS)), as_of_ms=today_ms)
    return SyntheticMarket(arguments.seed, coins=[*LIQUID_COINS, *more][: arguments.instruments])


if __name__ == "__main__":
    raise SystemExit(main())
