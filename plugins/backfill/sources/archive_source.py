"""An instrument in a bulk archive: one page is one file, a day or a month."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from backfill.domain.archive_plan import ArchiveFile, day_of, is_out, month_of, plan_days, plan_files
from backfill.domain.candle_files import ARCHIVE
from backfill.domain.candle_rules import open_time_was_not_asked_for
from backfill.domain.intervals import Interval, within
from backfill.domain.page_plan import PlannedPage
from backfill.domain.symbols import Listing
from backfill.domain.timeframes import DAY_MS, Timeframe
from backfill.domain.venues import venue
from backfill.errors import BadPayload, CandleFileRefused, ExchangeError, FileNotServed
from backfill.exchanges.archive_client import ArchiveClient
from backfill.sources.candle_source import CandlePage, refuse_times, sift_page

# Pages that proofs and neighbours request again.
REMEMBERED = 8
# This many months without a file are before the listing.
MONTHS_BEFORE_THE_FIRST = 2

log = logging.getLogger(__name__)


class ArchiveSource:
    """The files of ``listing``'s market. A missing or wrong file costs only its own bars."""

    name = ARCHIVE
    counts_forward = True

    def __init__(self, client: ArchiveClient, listing: Listing, timeframe: Timeframe) -> None:
        self.rows_per_page = venue(ARCHIVE).rows(timeframe.name)
        self._client = client
        self._listing = listing
        self._timeframe = timeframe
        self._checksums: dict[ArchiveFile, str] = {}
        self._planned: dict[int, ArchiveFile] = {}
        self._pages: OrderedDict[tuple[str, ArchiveFile], CandlePage] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def requests_made(self) -> int:
        return self._client.requests_made

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def serves_from_ms(self) -> int | None:
        """None: back to the listing."""
        return None

    def plan(self, gaps: Sequence[Interval]) -> list[PlannedPage]:
        """A page for each file that covers ``gaps``; what is not out yet is left to the next source.

        Whether a month is out shows by its checksum, which is needed anyway; else its days are taken.
        """
        files: list[ArchiveFile] = []
        gone = 0
        for file in plan_files(gaps, round(time.time() * 1000)):
            if not file.is_month or self._is_there(file):
                files.append(file)
                gone = 0
                continue
            days = plan_days(gaps, file)
            if self._is_there(days[0]):
                files += days
                gone = 0
            else:
                log.info("%s has no files of %s in %s", ARCHIVE, self._listing.venue_symbol, file.date)
                gone += 1
                if gone == MONTHS_BEFORE_THE_FIRST:
                    break
        self._planned = {file.span.end: file for file in files}
        return [PlannedPage(file.span.end, within(gaps, file.span)[0].start) for file in files]

    def _is_there(self, file: ArchiveFile) -> bool:
        try:
            self._checksums[file] = self._client.checksum(self._listing.venue_symbol, self._timeframe.name, file)
        except FileNotServed:
            return False
        except ExchangeError:
            return True  # the request for its candles will say what is wrong
        return True

    def ask(self, symbol: str, timeframe: Timeframe, after_ms: int) -> CandlePage:
        """The file planned for the cursor, else the one with the bar before it."""
        file = self._planned.get(after_ms) if timeframe == self._timeframe else None
        file = file or self._file_before(timeframe, after_ms)
        if not is_out(file, round(time.time() * 1000)):
            raise FileNotServed(ARCHIVE, f"{self._listing.venue_symbol} of {file.date} is not out yet")
        return self._page(timeframe, file)

    def _file_before(self, timeframe: Timeframe, after_ms: int) -> ArchiveFile:
        month = month_of(after_ms - timeframe.step_ms)
        with self._lock:
            is_here = (timeframe.name, month) in self._pages
        is_sparse = DAY_MS // timeframe.step_ms < 24 and is_out(month, round(time.time() * 1000))
        return month if is_here or is_sparse else day_of(after_ms - timeframe.step_ms)

    def _page(self, timeframe: Timeframe, file: ArchiveFile) -> CandlePage:
        key = (timeframe.name, file)
        with self._lock:
            known = self._pages.get(key)
        page = known or self._read(timeframe, file)
        with self._lock:
            self._pages[key] = page
            while len(self._pages) > REMEMBERED:
                self._pages.popitem(last=False)
        return page

    def _read(self, timeframe: Timeframe, file: ArchiveFile) -> CandlePage:
        from backfill.frames.candle_frame import scaled
        from backfill.frames.file_frame import read_rows

        checksum = self._checksums.get(file) if timeframe == self._timeframe else None
        answer = self._client.candles(self._listing.venue_symbol, timeframe.name, file, checksum)
        try:
            told = read_rows(f"{self._listing.venue_symbol}-{timeframe.name}-{file.date}", answer.csv)
        except CandleFileRefused as error:
            raise BadPayload(ARCHIVE, str(error)) from error
        frame = scaled(told.frame, self._listing.price_scale, self._listing.volume_scale)
        now_ms = answer.server_ms or round(time.time() * 1000)
        sound, broken, is_clean = sift_page(frame, timeframe, file.span.end, now_ms)
        strangers = sound["open_ms"][sound["open_ms"] < file.span.start].tolist()
        sound, broken = refuse_times(frame, sound, broken, strangers, open_time_was_not_asked_for.__name__)
        first_ms = timeframe.ceil(file.span.start)
        return CandlePage(
            after_ms=file.span.end,
            rows=told.raw,
            candles=sound,
            broken=broken,
            oldest_ms=first_ms,
            newest_ms=int(sound["open_ms"][-1]) if len(sound) else first_ms - timeframe.step_ms,
            server_ms=answer.server_ms,
            latency_ms=answer.latency_ms,
            covers=Interval(first_ms, timeframe.ceil(file.span.end)),
            is_clean=is_clean and not strangers,
        )
