"""An archive on paper: the files of data.binance.vision, by path, and S3's list of markets."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from backfill.domain.archive_plan import ArchiveFile
from backfill.paper.market import Candles


class PaperArchive:
    """Serves what was put; ``asked`` are the paths, in order."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                archive.asked.append(self.path)
                body = archive.files.get(path) if path != "/" else archive.listed()
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> PaperArchive:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, symbol: str, timeframe: str, file: ArchiveFile, bars: Candles, *, checksum: str | None = None) -> str:
        """A zip of these bars and its checksum; its path."""
        name = f"{symbol}-{timeframe}-{file.date}"
        path = f"/data/futures/um/{'monthly' if file.is_month else 'daily'}/klines/{symbol}/{timeframe}/{name}.zip"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.csv", "\n".join(_lines(bars)) + "\n")
        self.files[path] = packed.getvalue()
        digest = checksum or hashlib.sha256(packed.getvalue()).hexdigest()
        self.files[f"{path}.CHECKSUM"] = f"{digest}  {name}.zip\n".encode()
        return path

    def listed(self) -> bytes:
        """S3's list of the folders with months."""
        symbols = sorted({path.split("/")[6] for path in self.files})
        months = "data/futures/um/monthly/klines"
        folders = "".join(f"<CommonPrefixes><Prefix>{months}/{symbol}/</Prefix></CommonPrefixes>" for symbol in symbols)
        return f"<ListBucketResult>{folders}</ListBucketResult>".encode()


def _lines(bars: Candles) -> Iterable[str]:
    yield "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,i"
    for bar in bars:
        values = ",".join(repr(float(bar[name])) for name in ("open", "high", "low", "close", "base_volume"))
        yield f"{bar['open_ms']},{values},{bar['open_ms'] + 59_999},{float(bar['quote_volume'])!r},1,0,0,0"
