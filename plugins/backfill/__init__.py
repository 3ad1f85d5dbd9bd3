"""Keeps OHLCV candle history in Postgres complete."""

__version__ = "0.1.0"
