"""Any exchange through ccxt: its markets, and its candles page by page.

ccxt only formats requests and parses answers; for the rest see :mod:`backfill.exchanges.ccxt_wire`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from backfill.domain.funding import LONGEST_MS
from backfill.domain.markets import Market
from backfill.domain.price_kinds import TRADE
from backfill.domain.venues import Venue
from backfill.errors import BackfillError, BadPayload, ExchangeError, RateLimited, RequestRefused, SymbolNotListed
from backfill.exchanges.ccxt_errors import as_ours
from backfill.exchanges.ccxt_markets import can_be_kept, market_of
from backfill.exchanges.ccxt_rows import CcxtRow, covered, has_empty_list, row_as_sent, row_of, rows_told
from backfill.exchanges.ccxt_wire import TRIES, CcxtWire

# More threads wait for a socket.
POOLED_SOCKETS = 64
# How long a failure to load the markets is remembered.
LOAD_AGAIN_AFTER_S = 60.0


class CcxtAnswer(NamedTuple):
    """One page: all rows in the venue's order, including any outside the window.

    In ``covers_ms`` (half-open) a bar without a row does not exist at the venue. ``server_ms``: the venue's clock, None
    if unknown.
    """

    rows: list[CcxtRow]
    covers_ms: tuple[int, int]
    server_ms: int | None
    latency_ms: float


class CcxtClient:
    """Queries one venue; thread-safe. The first request imports ccxt (seconds of CPU).

    ``base_url`` replaces every host. ``options`` are ccxt's, over the venue's own. ``spot``: load spot markets too.
    ``markets``: known ones, instead of loading any. For the rest see :class:`CcxtWire`.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        base_url: str | None = None,
        proxies: Mapping[str, str] | None = None,
        api_key: str | None = None,
        api_secret: str | None = None,
        timeout_s: float = 10.0,
        options: Mapping[str, Any] | None = None,
        spot: bool = False,
        markets: Sequence[Market] = (),
        before_request: Callable[[], None] = lambda: None,
        on_ban: Callable[[RateLimited], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        tries: int = TRIES,
        transport: BaseAdapter | None = None,
    ) -> None:
        self.venue = venue
        self._base_url = _as_requests_spells_it(base_url) if base_url else None
        self._proxies = dict(proxies or {})
        self._keys = {name: key for name, key in (("apiKey", api_key), ("secret", api_secret)) if key}
        self._options = dict(options or {})
        self._spot = spot
        self._known_markets = markets
        self._on_ban = on_ban
        self._wire = CcxtWire(
            venue,
            transport or HTTPAdapter(pool_maxsize=POOLED_SOCKETS),
            only_to=self._base_url,
            before_request=before_request,
            on_ban=on_ban,
            timeout_s=timeout_s,
            sleep=sleep,
            tries=tries,
        )
        self._lock = threading.Lock()
        self._exchange: Any = None
        self._load_failure: tuple[float, ExchangeError] | None = None

    @property
    def requests_made(self) -> int:
        return self._wire.requests_made

    @property
    def server_ms(self) -> int | None:
        """The venue's clock by this thread's last answer; None: unknown."""
        answer = self._wire.last_answer
        return None if answer is None else answer.server_ms

    def close(self) -> None:
        self._wire.close()

    def turn_to(self, markets: Sequence[Market]) -> None:
        """Know these markets instead; only while no request is under way."""
        with self._lock:
            self._known_markets = markets
            if self._exchange is not None:
                self._load_markets()

    def markets(self) -> list[Market]:
        """Every market that can be stored, loaded once."""
        exchange = self._loaded()
        with self._in_our_words("the list of markets"):
            return [market for market in map(market_of, exchange.markets.values()) if can_be_kept(market)]

    def candles(self, venue_symbol: str, timeframe: str, since_ms: int, limit: int) -> CcxtAnswer:
        """Up to ``limit`` bars (at most a page) from ``since_ms``, on the grid, in one request.

        Raises an :class:`ExchangeError`.
        """
        exchange = self._loaded()
        if venue_symbol not in exchange.markets:
            raise SymbolNotListed(self.venue.source, venue_symbol)
        if not self.venue.serves(timeframe) or timeframe not in (exchange.timeframes or ()):
            raise RequestRefused(self.venue.source, f"{venue_symbol}: has no {timeframe} candles on our grid")
        step_ms = exchange.parse_timeframe(timeframe) * 1000
        limit = min(limit, self.venue.rows(timeframe))
        until_ms = since_ms + limit * step_ms
        early = 0 if self.venue.since_inclusive else 1
        params: dict[str, Any] = {"until": until_ms - 1} if self.venue.sends_until else {}
        if self.venue.kind != TRADE:
            params["price"] = self.venue.kind
        with self._in_our_words(f"{venue_symbol} {timeframe}"):
            rows = exchange.fetch_ohlcv(venue_symbol, timeframe, since_ms - early * step_ms, limit + early, params)
        answer = self._wire.last_answer
        if answer is None:
            raise BadPayload(self.venue.source, f"{venue_symbol} {timeframe}: ccxt answered without asking")
        rows = [row_as_sent(row) for row in rows]
        self._check_that_rows_were_told(answer.document, rows, f"{venue_symbol} {timeframe}")
        span = covered(self.venue, rows, since_ms, until_ms, step_ms)
        return CcxtAnswer(rows, span, answer.server_ms, answer.latency_ms)

    def funding(self, venue_symbol: str, before_ms: int) -> tuple[list[tuple[Any, Any]], int | None]:
        """(time, rate) of the newest page of payments before ``before_ms``, and the venue's clock."""
        exchange, venue = self._loaded(), self.venue
        if venue_symbol not in exchange.markets:
            raise SymbolNotListed(venue.source, venue_symbol)
        params = {venue.funding_before: before_ms - venue.funding_is_inclusive}
        if venue.funding_from:
            params[venue.funding_from] = before_ms - venue.funding_span_ms
        what = f"funding of {venue_symbol}"
        with self._in_our_words(what):
            paid = exchange.fetch_funding_rate_history(venue_symbol, None, venue.funding_rows, params)
        answer = self._wire.last_answer
        if answer is None or rows_told(answer.document, venue.rows_at or ()) != len(paid):
            raise BadPayload(venue.source, f"{what}: no list of payments, or one that ccxt cannot read")
        return [(one["timestamp"], one["fundingRate"]) for one in paid], answer.server_ms

    def funding_interval_ms(self, venue_symbol: str) -> int:
        """The present interval between payments; 8 hours where the venue's list lacks the contract."""
        exchange = self._loaded()
        with self._in_our_words(f"the funding interval of {venue_symbol}"):
            listed = exchange.fetch_funding_intervals([venue_symbol])
        hours = (listed.get(venue_symbol) or {}).get("interval")
        return LONGEST_MS if hours is None else int(exchange.parse_timeframe(hours)) * 1000

    def _check_that_rows_were_told(self, document: Any, rows: Sequence[CcxtRow], what: str) -> None:
        """ccxt treats a missing list as empty."""
        if self.venue.rows_at is None:
            sent = len(rows) if rows or has_empty_list(document) else None
        else:
            sent = rows_told(document, self.venue.rows_at)
        if sent is None:
            raise BadPayload(self.venue.source, f"{what}: no list of candles in {document!r:.80}")
        if sent != len(rows):
            raise BadPayload(self.venue.source, f"{what}: {sent} candles sent, {len(rows)} read")

    def _loaded(self) -> Any:
        """One thread loads the markets; a failure is remembered for LOAD_AGAIN_AFTER_S."""
        with self._lock:
            if self._exchange is None:
                self._exchange = self._new_exchange()
            if not self._exchange.markets:
                if self._load_failure and time.monotonic() < self._load_failure[0]:
                    raise self._load_failure[1]
                try:
                    self._load_markets()
                except ExchangeError as error:
                    self._load_failure = (time.monotonic() + LOAD_AGAIN_AFTER_S, error)
                    raise
            return self._exchange

    def _load_markets(self) -> None:
        with self._in_our_words("the list of markets"):
            if self._known_markets:
                self._exchange.set_markets([dict(market.told) for market in self._known_markets])
            else:
                self._exchange.load_markets()
        if not self._exchange.markets:
            raise BadPayload(self.venue.source, "lists no market at all")

    def _new_exchange(self) -> Any:
        import ccxt

        venue = self.venue
        exchange = getattr(ccxt, venue.ccxt_id)(
            {
                **self._keys,
                "session": self._new_session(),
                "enableRateLimit": False,
                # load_markets would request currencies too.
                "has": {"fetchCurrencies": False},
                "options": ccxt.Exchange.deep_extend(
                    dict(venue.spot_options if self._spot else venue.options), {"maxRetriesOnFailure": 0}, self._options
                ),
            }
        )
        if self._base_url:
            exchange.urls["api"] = _moved(exchange.urls["api"], self._base_url)

        def all_rows(sent: Any, market: Any = None, *_: Any, **__: Any) -> list[CcxtRow]:
            return [row_of(exchange, venue, raw, market) for raw in sent or []]

        # ccxt's own sorts, and drops rows before `since`, after `limit` or without time.
        exchange.parse_ohlcvs = all_rows
        # ccxt's own depends on orjson, and returns nothing for what that cannot parse.
        exchange.parse_json = self._document
        return exchange

    def _document(self, _: str) -> Any:
        answer = self._wire.last_answer
        return answer.document if answer else None

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.mount("https://", self._wire)
        session.mount("http://", self._wire)
        if self._proxies:
            session.proxies.update(self._proxies)
            session.trust_env = False  # else HTTPS_PROXY would win
        return session

    @contextmanager
    def _in_our_words(self, what: str) -> Iterator[None]:
        self._wire.forget()
        try:
            yield
        except BackfillError:
            raise
        except Exception as error:  # ccxt may raise TypeError, KeyError, ...
            ours = as_ours(error, self.venue, what, self._wire.last_answer)
            if isinstance(ours, RateLimited):
                self._on_ban(ours)
            raise ours from error


def _as_requests_spells_it(base_url: str) -> str:
    """Normalised as by requests, for comparison with what is sent."""
    return str(requests.Request("GET", base_url.rstrip("/") + "/").prepare().url).rstrip("/")


def _moved(urls: Any, base_url: str) -> Any:
    """ccxt's API addresses with other origins."""
    if isinstance(urls, dict):
        return {key: _moved(value, base_url) for key, value in urls.items()}
    return re.sub(r"^https?://[^/]+", base_url, urls) if isinstance(urls, str) else urls
