"""What each paper venue makes of a market: names, contract sizes, kinds of instrument.

Multiplied coins are listed where known (freqtrade's leverage tiers, passivbot's tests, Blofin's instruments of
2025-12-14). OKX's contract sizes are its own for the largest coins, else the market's. Spot pairs are quoted by the
single coin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, get_args

from backfill.errors import ConfigurationError
from backfill.paper.alphavantage_protocol import AlphaVantageProtocol
from backfill.paper.binance_protocol import BinanceProtocol
from backfill.paper.blofin_protocol import BlofinProtocol
from backfill.paper.bybit_protocol import BybitProtocol
from backfill.paper.coingecko_protocol import CoinGeckoProtocol
from backfill.paper.coins import STOCKS_AND_CURRENCIES
from backfill.paper.kraken_protocol import KrakenProtocol
from backfill.paper.market import BesideIt, PaperInstrument, PaperMarket
from backfill.paper.oanda_protocol import OandaProtocol
from backfill.paper.okx_protocol import OkxProtocol
from backfill.paper.polygon_protocol import PolygonProtocol
from backfill.paper.protocol import ExchangeProtocol
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from backfill.paper.venue_market import PaperListing, VenueMarket
from backfill.paper.yahoo_protocol import YahooProtocol

Trap = Literal["collision", "inverse", "usdc", "twice", "preopen"]
"""What makes it easy to take one instrument for another:

``collision``   WIF is another asset here, at another price
``inverse``     BTC-USD and ETH-USD, settled in the coin
``usdc``        BTC-USDC and ETH-USDC beside those in USDT
``twice``       coins that are quoted by the thousand are also there by the single coin
``preopen``     OKX only: half-announced instruments with empty fields, at which ccxt's load_markets stumbles
"""
TRAPS: tuple[Trap, ...] = get_args(Trap)

COLLISION = ("WIF-USDT", "AAVE-USDT")  # the first has the candles of the second
SPOT_BASIS_BP, USD_BASIS_BP, USDC_BASIS_BP = -4.0, 3.0, 2.0
SPOT_VOLUME = 0.3  # of what the perpetual has

# name → (coin, how many of it the name stands for)
QUOTED_COINS: dict[str, tuple[str, int]] = {
    **{f"1000{coin}": (coin, 1000) for coin in ("BONK", "PEPE", "SHIB", "SATS", "FLOKI", "RATS", "CHEEMS")},
    "SHIB1000": ("SHIB", 1000),
    "10000SATS": ("SATS", 10_000),
    "1000000BABYDOGE": ("BABYDOGE", 1_000_000),
    "1MBABYDOGE": ("BABYDOGE", 1_000_000),
    "1000000CHEEMS": ("CHEEMS", 1_000_000),
    "1000000MOG": ("MOG", 1_000_000),
}
MULTIPLIED = {coin for coin, _ in QUOTED_COINS.values()}


@dataclass(frozen=True)
class PaperVenue:
    """What one venue lists.

    ``names`` are its names of multiplied coins; None: no perpetuals at all. ``contract_values`` are linear contract
    sizes other than the market's ("*": of all others), ``inverse_values`` those of BTC-USD and ETH-USD. ``spot_pairs``
    are quote currencies by coin ("*": of all others). ``volume_share`` is of the market's volume. Venues of one
    ``house`` agree in every candle.
    """

    house: str
    protocol: Callable[[Collection[Trap]], ExchangeProtocol]
    volume_share: float
    names: Mapping[str, str] | None = None
    contract_values: Mapping[str, str] = field(default_factory=dict)
    inverse_values: tuple[str, str] = ("100", "10")
    spot_pairs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


USDT_PAIRS = {"*": ("USDT",)}

_BINANCE = PaperVenue(
    "binance",
    lambda traps: BinanceProtocol(),
    volume_share=2.6,
    names={
        "BONK": "1000BONK",
        "PEPE": "1000PEPE",
        "SHIB": "1000SHIB",
        "SATS": "1000SATS",
        "BABYDOGE": "1MBABYDOGE",
        "FLOKI": "1000FLOKI",
        "RATS": "1000RATS",
    },
    contract_values={"*": "1"},
    spot_pairs=USDT_PAIRS,
)

VENUES: dict[str, PaperVenue] = {
    "okx": PaperVenue(
        "okx",
        lambda traps: OkxProtocol(preopen="preopen" in traps),
        volume_share=1.4,
        names={"BONK": "BONK", "PEPE": "PEPE", "SHIB": "SHIB"},
        contract_values={"BTC": "0.01", "ETH": "0.1", "SOL": "1", "XRP": "100", "DOGE": "1000", "ADA": "100"},
        spot_pairs=USDT_PAIRS,
    ),
    "bybit": PaperVenue(
        "bybit",
        lambda traps: BybitProtocol(),
        volume_share=1.8,
        names={
            "BONK": "1000BONK",
            "PEPE": "1000PEPE",
            "SHIB": "SHIB1000",
            "SATS": "10000SATS",
            "BABYDOGE": "1000000BABYDOGE",
            "FLOKI": "1000FLOKI",
            "CHEEMS": "1000000CHEEMS",
        },
        contract_values={"*": "1"},
        inverse_values=("1", "1"),
        spot_pairs=USDT_PAIRS,
    ),
    "binance": _BINANCE,
    "binanceusdm": replace(_BINANCE, spot_pairs={}),
    "kraken": PaperVenue(
        "kraken",
        lambda traps: KrakenProtocol(),
        volume_share=0.06,
        spot_pairs={
            **dict.fromkeys(("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA"), ("USDT", "USD")),
            **dict.fromkeys(("AVAX", "LINK", "LTC", "BCH", "DOT", "ATOM", "ALGO"), ("USDT",)),
        },
    ),
}
# Sources of stocks, currencies, and coins as spot.
ASSET_PROTOCOLS: dict[str, Callable[[], ExchangeProtocol]] = {
    "polygon": PolygonProtocol,
    "oanda": OandaProtocol,
    "alphavantage": AlphaVantageProtocol,
    "yfinance": YahooProtocol,
    "coingecko": CoinGeckoProtocol,
}
NAMES = ("blofin", *VENUES)
ALL_NAMES = (*NAMES, *ASSET_PROTOCOLS)


def paper_exchange(
    name: str,
    market: PaperMarket,
    *,
    difference_bp: float = 1.0,
    own_volumes: bool = True,
    traps: Collection[Trap] = (),
    **running: Any,
) -> PaperExchange:
    """The venue ``name`` over ``market``; ``running`` goes to :class:`PaperExchange`.

    Blofin shows the market itself, other exchanges :func:`venue_market`; sources of stocks and currencies also show a
    few of those.
    """
    if name == "blofin":
        return PaperExchange(market, BlofinProtocol(), **running)
    if made := ASSET_PROTOCOLS.get(name):
        return PaperExchange(BesideIt(market, SyntheticMarket(coins=STOCKS_AND_CURRENCIES)), made(), **running)
    view = venue_market(name, market, difference_bp=difference_bp, own_volumes=own_volumes, traps=traps)
    return PaperExchange(view, _venue(name).protocol(traps), **running)


def venue_market(
    name: str,
    market: PaperMarket,
    *,
    difference_bp: float = 1.0,
    own_volumes: bool = True,
    traps: Collection[Trap] = (),
) -> VenueMarket:
    """What the venue ``name`` lists of ``market``, whose instruments are Blofin's linear ones.

    Without a difference and own volumes perpetuals' candles are the market's, renamed and rescaled.
    """
    venue = _venue(name)
    listings = {listing.instrument.symbol: listing for listing in _listings(venue, market, traps)}
    taken, other = COLLISION
    if "collision" in traps and taken in listings and other in listings:
        listings[taken] = _renamed(listings[other], taken)
    if not own_volumes:
        listings = {symbol: replace(listing, volume_share=None) for symbol, listing in listings.items()}
    return VenueMarket(market, venue.house, list(listings.values()), difference_bp=difference_bp)


def _venue(name: str) -> PaperVenue:
    try:
        return VENUES[name]
    except KeyError:
        raise ConfigurationError(f"no paper exchange is called {name!r}; known are {', '.join(NAMES)}") from None


def _listings(venue: PaperVenue, market: PaperMarket, traps: Collection[Trap]) -> Iterator[PaperListing]:
    for theirs in market.instruments:
        if (theirs.kind, theirs.quote) != ("linear", "USDT"):
            continue
        coin, _ = _quoted(theirs.base)
        if venue.names is not None:
            name = venue.names.get(coin) if coin in MULTIPLIED else coin
            names = {name, coin} if "twice" in traps else {name}
            yield from (_perpetual(venue, theirs, name) for name in names if name is not None)
            yield from _btc_and_eth_twins(venue, theirs, traps)
        for quote in venue.spot_pairs.get(coin, venue.spot_pairs.get("*", ())):
            yield _spot_pair(venue, theirs, f"{coin}-{quote}-SPOT")


def _perpetual(venue: PaperVenue, theirs: PaperInstrument, name: str) -> PaperListing:
    units = _units(name, theirs)
    contract_value = venue.contract_values.get(name) or venue.contract_values.get("*")
    size = theirs.contract_value / units if contract_value is None else Decimal(contract_value)
    instrument = replace(
        theirs,
        symbol=f"{name}-{theirs.quote}",
        contract_value=size,
        lot_size=theirs.coin_step / units / size,
        tick_size=theirs.tick_size * units,
    )
    return PaperListing(instrument, theirs.symbol, units, volume_share=venue.volume_share)


def _btc_and_eth_twins(venue: PaperVenue, theirs: PaperInstrument, traps: Collection[Trap]) -> Iterator[PaperListing]:
    if theirs.base not in ("BTC", "ETH"):
        return
    if "usdc" in traps:
        twin = _renamed(_perpetual(venue, theirs, theirs.base), f"{theirs.base}-USDC")
        yield replace(twin, basis_bp=USDC_BASIS_BP)
    if "inverse" in traps:
        value = Decimal(venue.inverse_values[theirs.base == "ETH"])
        instrument = replace(theirs, symbol=f"{theirs.base}-USD", kind="inverse", contract_value=value)
        instrument = replace(instrument, lot_size=Decimal(1))
        yield PaperListing(instrument, theirs.symbol, basis_bp=USD_BASIS_BP, volume_share=venue.volume_share)


def _spot_pair(venue: PaperVenue, theirs: PaperInstrument, symbol: str) -> PaperListing:
    units = _units(symbol.split("-")[0], theirs)
    instrument = replace(
        theirs,
        symbol=symbol,
        kind="spot",
        contract_value=Decimal(1),
        lot_size=theirs.coin_step / units,
        tick_size=theirs.tick_size * units,
    )
    basis_bp = SPOT_BASIS_BP + (USD_BASIS_BP if instrument.quote == "USD" else 0)
    return PaperListing(instrument, theirs.symbol, units, basis_bp, SPOT_VOLUME * venue.volume_share)


def _renamed(listing: PaperListing, symbol: str) -> PaperListing:
    return replace(listing, instrument=replace(listing.instrument, symbol=symbol))


def _units(name: str, theirs: PaperInstrument) -> Decimal:
    """How many units of ``theirs`` one unit of our ``name`` is."""
    return Decimal(_quoted(name)[1]) / _quoted(theirs.base)[1]


def _quoted(name: str) -> tuple[str, int]:
    return QUOTED_COINS.get(name, (name, 1))
