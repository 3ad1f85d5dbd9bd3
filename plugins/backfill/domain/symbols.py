"""Which market of a venue is our instrument, and its scale: by identity, never by string alone.

Blofin's 1000BONK is Hyperliquid's kBONK and OKX's BONK, Bybit's SHIB1000 is Blofin's SHIB, Binance's 1MBABYDOGE is
Blofin's 1000000BABYDOGE (freqtrade, binance_leverage_tiers.json; passivbot, tests/test_live_coins_reload.py). One name
may be two coins, so closes must prove a listing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from backfill.domain.markets import Market
from backfill.domain.price_kinds import contract_of
from backfill.domain.venues import Venue

# Powers of ten from 1000 on, beside at least two characters: 1INCH, 42, 0G, C98, LUNA2, BANANAS31 and 1000X are plain
# names.
_PREFIXED = re.compile(r"(10{3,9}|1M)([A-Z][A-Z0-9]+)")
_SUFFIXED = re.compile(r"([A-Z][A-Z0-9]*[A-Z])(10{3,9})")
_K_PREFIXED = re.compile(r"k([A-Z][A-Z0-9]+)")
# BASE-QUOTE, a dated contract BASE-QUOTE-YYMMDD. A base has letters of any script, digits and dots.
_NAME = re.compile(r"(?P<base>[^\W_](?:[^\W_]|\.)*)-[A-Z0-9]+(?:-[0-9]{6})?")
# A stock AAPL, BRK.B, 0700.HK; a currency pair EUR_USD. BTCUSDT is BTC-USDT mistyped.
_TICKER = re.compile(r"(?!.+USD[TC]?$)[A-Z0-9]{1,12}(?:\.[A-Z0-9]{1,4})?|[A-Z0-9]{2,12}_[A-Z]{3}")
# What may stand in a form, a file's name, an address.
SYMBOL_PATTERN = r"[A-Z0-9]+(?:[-_.][A-Z0-9]+)?(?:\.(?:mark|index))?"
MAX_NAME = 40
# Not coins, on Blofin (2026-03-18): elsewhere other things have these names.
NO_TWIN_ELSEWHERE = frozenset(
    {
        *("XAU", "XAG", "XPT", "XPD", "XCU", "COPPER", "CL", "NG", "SPY", "QQQ", "EWJ", "TSLA", "AMZN", "COIN", "CRCL"),
        *("HOOD", "INTC", "MSTR", "PLTR", "BTCDOM", "ETHBTC"),
    }
)
# Best first: Coinbase and Kraken have few in USDT.
DOLLARS = ("USDT", "USDC", "USD")
MIN_OVERLAP_BARS = 30
MAX_CLOSE_RATIO_OFF = 0.02


def is_instrument_name(text: str) -> bool:
    """Whether the name is valid and safe in a terminal, file name, page and spreadsheet.

    kPEPE-USDT, BTC-USDT.mark, AAPL, EUR_USD; not btc-usdt, which is BTC-USDT mistyped.
    """
    return is_pair_name(contract_of(text)) or (len(text) <= MAX_NAME and _TICKER.fullmatch(text) is not None)


def is_pair_name(text: str) -> bool:
    """Whether it is BASE-QUOTE."""
    found = _NAME.fullmatch(text) if len(text) <= MAX_NAME else None
    return found is not None and not (found["base"].isascii() and found["base"].islower())


@dataclass(frozen=True, slots=True)
class Instrument:
    """Identity of an instrument. ``base`` is spelled as at its source (1000BONK)."""

    symbol: str
    base: str
    quote: str
    settle: str | None = None
    contract_type: str | None = None

    @classmethod
    def named(cls, symbol: str) -> Instrument:
        """Known by name only: BTC-USDT is linear, settled in USDT."""
        base, _, quote = contract_of(symbol).partition("-")
        return cls(symbol, base, quote, contract_type="inverse" if quote == "USD" else "linear")

    @property
    def is_linear(self) -> bool:
        """Whether it is linear and settled in its quote currency."""
        return self.contract_type != "inverse" and self.settle in (None, "", self.quote) and self.quote != "USD"


@dataclass(frozen=True, slots=True)
class InstrumentDescription:
    """A source's description of an instrument; None: not given.

    ``contract_value``: coins per contract. ``state``: `live`, or the source's own value.
    """

    symbol: str
    base_currency: str | None
    quote_currency: str | None
    settle_currency: str | None
    contract_type: str | None
    contract_value: float | None
    tick_size: float | None
    state: str | None
    list_ms: int | None
    expire_ms: int | None


def described(symbol: str, market: Market, price_scale: float = 1.0) -> InstrumentDescription:
    """Describe ``symbol`` by its market; spot has no contract terms.

    ``price_scale`` is the listing's.
    """
    contract_type = "linear" if market.is_linear else "inverse" if market.is_inverse else None
    return InstrumentDescription(
        symbol=symbol,
        base_currency=(market.base if price_scale == 1 else symbol.partition("-")[0]) if contract_type else None,
        quote_currency=market.quote if contract_type else None,
        settle_currency=market.settle,
        contract_type=contract_type,
        contract_value=None if market.contract_size is None else market.contract_size / price_scale,
        tick_size=market.tick_size,
        state=market.state or ("suspend" if market.is_active is False else "live"),
        list_ms=market.listed_ms,
        expire_ms=market.expires_ms,
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """A venue's name and scale: ours = theirs x scale, volume in coins."""

    venue_symbol: str
    instrument_class: Literal["perpetual", "spot_proxy"]
    price_scale: float
    volume_scale: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a venue has no market for an instrument."""

    reason: str


@dataclass(frozen=True, slots=True)
class AmbiguousListing(Refusal):
    """Several markets could be meant."""

    venue_symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListingProof:
    """Result of comparing closes. ``median_ratio``: theirs, scaled / ours; None: too few bars."""

    overlap_bars: int
    median_ratio: float | None
    ok: bool
    reason: str


def readings(name: str, *, k_is_thousand: bool = False) -> dict[str, int]:
    """Meanings of a venue's base name: coin -> coins per quoted unit, literal name first."""
    meant = {name: 1}
    if match := _PREFIXED.fullmatch(name):
        meant[match[2]] = 1_000_000 if match[1] == "1M" else int(match[1])
    if match := _SUFFIXED.fullmatch(name):
        meant[match[1]] = int(match[2])
    if k_is_thousand and (match := _K_PREFIXED.fullmatch(name)):
        meant[match[1]] = 1000
    return meant


def find_listing(
    instrument: Instrument, venue: Venue, markets: Sequence[Market], *, spot_proxy: bool = False
) -> Listing | Refusal:
    """The venue's market for an instrument, still to be proved, or why there is none.

    A linear perpetual settled in the instrument's quote currency; with ``spot_proxy``, dollar spot may replace it. A
    venue that names its markets has at most the one of that name.
    """
    if venue.market_named is not None:
        return _by_name(instrument, venue, markets, spot_proxy=spot_proxy)
    if not instrument.is_linear:
        return Refusal(f"{instrument.symbol} is no linear contract settled in its quote currency")
    if instrument.base in NO_TWIN_ELSEWHERE:
        return Refusal(f"{instrument.base} is a stock, a metal or an index: elsewhere the name means something else")
    perpetuals = [m for m in markets if _is_like(m, instrument)] if venue.perpetuals else []
    found = _match(instrument, venue, perpetuals, "perpetual")
    if spot_proxy and venue.spot and found is None:
        for quote in sorted({instrument.quote, *DOLLARS}, key=lambda quote: _rank(quote, instrument)):
            books = [m for m in markets if m.is_spot and m.quote == quote]
            if found := _match(instrument, venue, books, "spot_proxy"):
                break
    return found or Refusal(_nothing_found(instrument, venue, spot_proxy))


def named_markets(symbol: str, venue: Venue) -> list[Market] | None:
    """The venue's one market of that name, or none; None: it must be asked for its list."""
    if venue.market_named is None:
        return None
    market = venue.market_named(symbol)
    return [] if market is None else [market]


def _by_name(instrument: Instrument, venue: Venue, markets: Sequence[Market], *, spot_proxy: bool) -> Listing | Refusal:
    """A stock or pair is itself; a coin's spot only stands in for it."""
    if not markets:
        return Refusal(f"{venue.source} has no market for {instrument.symbol}")
    (market,) = markets
    scale = _price_scale(instrument.base, market.base, k_is_thousand=venue.k_is_thousand) or 1.0
    if not market.is_spot:
        return Listing(market.venue_symbol, "perpetual", scale, 1 / scale)
    if instrument.base in NO_TWIN_ELSEWHERE:
        return Refusal(f"{instrument.base} is a stock, a metal or an index: elsewhere the name means something else")
    if not (venue.spot and spot_proxy):
        return Refusal(f"{venue.source} has spot only, and {instrument.symbol} allows no stand-in")
    return Listing(market.venue_symbol, "spot_proxy", scale, 1 / scale)


def prove(our_closes: Mapping[int, float], their_scaled_closes: Mapping[int, float]) -> ListingProof:
    """Prove a listing: the median ratio of closes (by open time in ms) is near one."""
    ratios = [
        theirs / ours
        for open_ms, ours in our_closes.items()
        if (theirs := their_scaled_closes.get(open_ms)) is not None and _is_price(ours) and _is_price(theirs)
    ]
    if len(ratios) < MIN_OVERLAP_BARS:
        return ListingProof(len(ratios), None, False, f"{len(ratios)} bars in common, {MIN_OVERLAP_BARS} are needed")
    ratio = median(ratios)
    ok = abs(ratio - 1) <= MAX_CLOSE_RATIO_OFF
    verdict = "the same instrument" if ok else "another coin, or another multiplier"
    return ListingProof(len(ratios), ratio, ok, f"their close / ours is {ratio:.6g} in {len(ratios)} bars: {verdict}")


def price_scale(our_base: str, their_base: str) -> float | None:
    """Ours = theirs x scale, if both names mean one coin; None: they do not."""
    return _price_scale(our_base, their_base, k_is_thousand=False)


def _is_like(market: Market, instrument: Instrument) -> bool:
    return market.is_swap and market.is_linear and market.settle == market.quote == instrument.quote


def _nothing_found(instrument: Instrument, venue: Venue, spot_proxy: bool) -> str:
    missing = [f"linear perpetual of {instrument.base} settled in {instrument.quote}"] if venue.perpetuals else []
    if venue.spot and spot_proxy:
        missing.append(f"spot book of {instrument.base} in dollars")
    if not missing:
        return f"{venue.source} has spot books only, and {instrument.symbol} allows no stand-in"
    return f"{venue.source} lists no {' and no '.join(missing)}"


def _rank(quote: str, instrument: Instrument) -> int:
    return -1 if quote == instrument.quote else DOLLARS.index(quote)


def _match(
    instrument: Instrument, venue: Venue, markets: Sequence[Market], kind: Literal["perpetual", "spot_proxy"]
) -> Listing | Refusal | None:
    same = [(market, 1.0) for market in markets if market.base == instrument.base]
    fits = same or [
        (market, scale)
        for market in markets
        if (scale := _price_scale(instrument.base, market.base, k_is_thousand=venue.k_is_thousand)) is not None
    ]
    if len(fits) > 1:
        fits = [fit for fit in fits if fit[0].is_active is not False] or fits
    if len(fits) > 1:
        symbols = tuple(sorted(market.venue_symbol for market, _ in fits))
        return AmbiguousListing(f"{instrument.base} could be any of {', '.join(symbols)} at {venue.source}", symbols)
    if not fits:
        return None
    market, price_scale = fits[0]
    size = 1.0
    if kind == "perpetual" and venue.volume == "contracts":
        if market.contract_size is None:
            return Refusal(f"{market.venue_symbol} counts contracts at {venue.source}, which does not give their size")
        size = market.contract_size
    return Listing(market.venue_symbol, kind, price_scale, size / price_scale)


def _price_scale(our_base: str, their_base: str, *, k_is_thousand: bool) -> float | None:
    theirs = readings(their_base, k_is_thousand=k_is_thousand)
    return next((ours / theirs[coin] for coin, ours in readings(our_base).items() if coin in theirs), None)


def _is_price(close: float) -> bool:
    return 0 < close < math.inf
