"""Stored candles as CSV, Parquet or an Arrow stream."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backfill.errors import ConfigurationError
from backfill.ui.answers import CandleRow

Rows = Sequence[Mapping[str, Any]]

COLUMNS = tuple(CandleRow.model_fields)
TEXT = ("source",)


def as_csv(rows: Rows) -> bytes:
    """A header and a line per candle; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([row[name].isoformat() if name == "open_time" else row[name] for name in COLUMNS] for row in rows)
    return text.getvalue().encode()


def as_arrow(rows: Rows) -> bytes:
    """An Arrow IPC stream. Raises :class:`ConfigurationError` without pyarrow."""
    table = _table(rows)
    import pyarrow as pa

    file = io.BytesIO()
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return file.getvalue()


def as_parquet(rows: Rows) -> bytes:
    """A Parquet file. Raises :class:`ConfigurationError` without pyarrow."""
    table = _table(rows)
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _table(rows: Rows) -> Any:
    """One schema for all pages, so that an empty page joins the others."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ConfigurationError("needs pyarrow where the API server runs: pip install pyarrow") from error

    types = {"open_time": pa.timestamp("us", tz="UTC"), **dict.fromkeys(TEXT, pa.string())}
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in COLUMNS])
    return pa.table({name: [row[name] for row in rows] for name in COLUMNS}, schema=schema)


# A format's content type, and what makes it.
FORMATS: Mapping[str, tuple[str, Callable[[Rows], bytes]]] = {
    "csv": ("text/csv", as_csv),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
    "arrow": ("application/vnd.apache.arrow.stream", as_arrow),
}
