"""Answers of venues that we made up: the documented shape and columns, with numbers of our own.

A document is called what the recorded one is called, so that a test reads either. What a parser should make of one is
written down beside it: prices as they stand, the open time in milliseconds, the volume of the column that the venue
documents as the base currency's (KuCoin's futures and Gate's: contracts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HOUR_S = 3600
JUNE_S = 1_717_200_000  # 2024-06-01T00:00Z
JUNE_MS = 1000 * JUNE_S
CDN_HEADERS = {"Server": "CloudFront", "Content-Type": "text/html", "X-Cache": "Error from cloudfront"}


def _answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> dict[str, Any]:
    return {"_meta": {"http_status": status, "headers": headers or {}}, "body": body}


def _text(text: str, status: int, headers: dict[str, str] | None = None) -> dict[str, Any]:
    return {"_meta": {"http_status": status, "headers": headers or {}}, "body_text": text}


def _cdn_page(reason: str) -> dict[str, Any]:
    """CloudFront's error page, whose head is the same whatever the reason."""
    head = (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">',
        '<HTML><HEAD><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=iso-8859-1">',
        "<TITLE>ERROR: The request could not be satisfied</TITLE>",
        "</HEAD><BODY>",
        "<H1>403 ERROR</H1>",
        "<H2>The request could not be satisfied.</H2>",
        '<HR noshade size="1px">',
    )
    return _text(
        "\n".join([*head, reason, "<PRE>", "Request ID: made-up==", "</PRE>", "</BODY></HTML>"]), 403, CDN_HEADERS
    )


def _blofin(*rows: Sequence[str]) -> dict[str, Any]:
    return {"code": "0", "msg": "success", "data": list(rows)}


def _okx(*rows: Sequence[str]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": list(rows)}


def _bybit(category: str, *rows: Sequence[str]) -> dict[str, Any]:
    result = {"category": category, "symbol": "BTCUSDT", "list": list(rows)}
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": JUNE_MS + 123}


def _parsed(*cases: tuple[str, str, str, Any, list[list[float]]]) -> dict[str, Any]:
    return {
        "cases": [
            {
                "symbol": symbol,
                "market_id": market_id,
                "input": [symbol, timeframe, None, len(rows)],
                "httpResponse": document,
                "parsedResponse": rows,
            }
            for symbol, market_id, timeframe, document, rows in cases
        ]
    }


# Time, open, high, low, close, contracts, coins, quote currency, whether it is over; the newest first.
OKX_SWAP_MINUTES = _okx(
    [str(JUNE_MS + 60_000), "50010.5", "50030", "50001.5", "50020", "250", "2.5", "125037.5", "0"],
    [str(JUNE_MS), "50000", "50020.25", "49990", "50010.5", "1234.5", "12.345", "617312.25", "1"],
)
OKX_SWAP_HOURS = _okx(
    [f"{JUNE_MS + 10_800_000}", "50300", "50500", "50250.5", "50400", "80000", "800", "40300000", "1"],
    [f"{JUNE_MS + 7_200_000}", "50200", "50350", "50100", "50300", "50000.5", "500.005", "25125251.25", "1"],
    [f"{JUNE_MS + 3_600_000}", "50100.5", "50250", "50050", "50200", "12000", "120", "6018000", "1"],
    [f"{JUNE_MS}", "50000", "50150", "49950", "50100.5", "34567.8", "345.678", "17300000.5", "1"],
)
# Spot: coins, then the quote currency twice.
OKX_SPOT_HOURS = _okx(
    [f"{JUNE_MS + 3_600_000}", "50100", "50250.5", "50050", "50200", "120.25", "6030540.5", "6030540.5", "1"],
    [f"{JUNE_MS}", "50000", "50150", "49950.5", "50100", "64.5", "3228000.75", "3228000.75", "1"],
)
# Time, open, high, low, close, coins, turnover; the newest first.
BYBIT_DAYS = _bybit(
    "linear",
    [f"{JUNE_MS + 172_800_000}", "51000", "51500.5", "50800", "51200", "1500.125", "76806400"],
    [f"{JUNE_MS + 86_400_000}", "50500", "51100", "50400", "51000", "2000", "101400000"],
    [f"{JUNE_MS}", "50000", "50600", "49800.5", "50500", "1800.5", "90205050"],
)
BYBIT_SPOT_HOURS = _bybit(
    "spot",
    [f"{JUNE_MS + 3_600_000}", "50100.01", "50250.5", "50050", "50200.02", "12.345678", "619012.34"],
    [f"{JUNE_MS}", "50000.5", "50150", "49950.25", "50100.01", "6.543219", "327482.5"],
)
BYBIT_ODD_MINUTE = _bybit("linear", ["1717200037000", "50000", "50010", "49990", "50005", "12.5", "625000"])
# Open, high, low, close, volume in quotes; close time; quote volume; trades; what takers bought, of both; nothing.
BINANCE_SPOT_HOURS = [
    [
        JUNE_MS,
        "50000.01000000",
        "50150.00000000",
        "49950.25000000",
        "50100.02000000",
        "64.12500000",
        JUNE_MS + 3599999,
        "3209478.75000000",
        4321,
        "30.50000000",
        "1526547.50000000",
        "0",
    ],
    [
        JUNE_MS + 3600000,
        "50100.02000000",
        "50250.50000000",
        "50050.00000000",
        "50200.00000000",
        "12.00100000",
        JUNE_MS + 7199999,
        "601850.25000000",
        1234,
        "6.00000000",
        "300900.00000000",
        "0",
    ],
]
BINANCE_WEEK = [
    [
        JUNE_MS,
        "0.02000000",
        "0.03000000",
        "0.01500000",
        "0.02500000",
        "1000.50000000",
        JUNE_MS + 604799999,
        "22.51125000",
        77,
        "400.25000000",
        "9.00562500",
        "0",
    ]
]
BINANCE_PERPETUAL_HOURS = [
    [
        JUNE_MS,
        "50000.10",
        "50150.00",
        "49950.20",
        "50100.30",
        "641.250",
        JUNE_MS + 3599999,
        "32094787.50000",
        54321,
        "305.500",
        "15290000.12500",
        "0",
    ],
    [
        JUNE_MS + 3600000,
        "50100.30",
        "50250.50",
        "50050.00",
        "50200.00",
        "120.010",
        JUNE_MS + 7199999,
        "6018501.50000",
        12345,
        "60.000",
        "3009000.00000",
        "0",
    ],
]
# Time in seconds, open, high, low, close, average price, coins, trades; the oldest first.
KRAKEN_SILENT_OF_TEN = (1, 4, 8)
KRAKEN_ROWS = 721


def _kraken_minute(place: int) -> list[Any]:
    opened = 50_000 + place // 10
    if place % 10 in KRAKEN_SILENT_OF_TEN:
        return [JUNE_S + 60 * place, *[f"{opened}.5"] * 4, "0.0", "0.00000000", 0]
    prices = [f"{opened}.5", f"{opened + 3}.0", f"{opened - 2}.1", f"{opened + 1}.4", f"{opened}.9"]
    return [JUNE_S + 60 * place, *prices, f"0.{place + 1:08d}", 1 + place % 7]


def _kraken(pair_rows: list[list[Any]]) -> dict[str, Any]:
    return {"error": [], "result": {"XBTUSDT": pair_rows, "last": pair_rows[-2][0]}}


KRAKEN_HOURS = _kraken(
    [
        [JUNE_S, "50000.5", "50100.0", "49900.1", "50050.2", "50010.0", "18.50000000", 160],
        [JUNE_S + HOUR_S, "50050.2", "50200.0", "50000.0", "50150.5", "50100.3", "12.25000001", 126],
        [JUNE_S + 2 * HOUR_S, "50150.5", "50300.9", "50100.0", "50250.0", "50200.0", "9.00000000", 99],
        [JUNE_S + 3 * HOUR_S, "50250.0", "50260.0", "50240.0", "50255.5", "50250.1", "1.12500000", 12],
        [JUNE_S + 4 * HOUR_S, "50255.5", "50255.5", "50255.5", "50255.5", "0.0", "0.00000000", 0],
    ]
)

PAYLOADS: dict[str, Any] = {
    # Time, open, high, low, close, contracts, coins, quote currency, whether it is over.
    "blofin/candles_doc_sample.json": _answer(
        _blofin([str(JUNE_MS), "2500.25", "2501.5", "2499", "2500.75", "650", "6.5", "16254.875", "1"])
    ),
    "blofin/candles_BTC-USDT_1D_limit1.json": _answer(
        _blofin([str(JUNE_MS), "50000.5", "50600.1", "49800", "50500", "1800500", "1800.5", "90205050.125", "0"])
    ),
    # The hour in which the clocks went back in the United States: 2023-11-05, in quarters.
    "blofin/candles_XRP-USDT_15m_dst_window.json": _answer(
        _blofin(
            ["1699165800000", "0.6234", "0.6251", "0.6209", "0.6245", "180", "18000", "11219.5", "1"],
            ["1699164900000", "0.6211", "0.624", "0.62", "0.6234", "95", "9500", "5905.75", "1"],
            ["1699164000000", "0.6205", "0.6219", "0.6188", "0.6211", "240", "24000", "14892", "1"],
            ["1699163100000", "0.6198", "0.621", "0.6195", "0.6205", "1", "100", "62.05", "1"],
        )
    ),
    "blofin/error_table.json": _answer(
        [
            {"code": code, "http_status": "429" if code == "429" else "200", "msg": "made up"}
            for code in (
                "400",
                "401",
                "404",
                "405",
                "406",
                "429",
                "500",
                "1",
                "2",
                "152001",
                "152002",
                "152003",
                "152004",
                "152005",
                "152009",
                "152014",
                "152015",
                "152401",
                "152402",
                "102002",
                "103003",
            )
        ]
    ),
    "bybit/error_403_cloudfront_geo.json": _cdn_page(
        "The Amazon CloudFront distribution is configured to block access from your country."
    ),
    "bybit/error_403_pybit_text.json": _answer(
        {"text": "You have breached the ip rate limit or your ip is from the usa. (ErrCode: 403)"}, 403
    ),
    "bybit/kline_linear_fixture_unaligned.json": _answer(BYBIT_ODD_MINUTE),
    "bybit/kline_linear_testnet_D.json": _answer(BYBIT_DAYS),
    "bybit/kline_spot_1d_1row.json": _answer(
        _bybit("spot", [f"{JUNE_MS}", "50000.5", "50600", "49800.1", "50500.2", "3400.25", "171000000.125"])
    ),
    "bybit/klines_bybit_spot_hummingbot.json": _answer(BYBIT_SPOT_HOURS),
    "okx/candles_swap_1m_2rows.json": _answer(OKX_SWAP_MINUTES),
    "okx/klines_okx_perpetual_hummingbot.json": _answer(OKX_SWAP_HOURS),
    "okx/klines_okx_spot_hummingbot.json": _answer(OKX_SPOT_HOURS),
    "okx/error_50011_rate_limit.json": _answer({"msg": "Too Many Requests", "code": "50011"}, 429),
    "binance/klines_binance_spot_hummingbot.json": _answer(BINANCE_SPOT_HOURS),
    "binance/klines_doc_sample.json": _answer(BINANCE_WEEK),
    "binance/klines_binance_perpetual_hummingbot.json": _answer(BINANCE_PERPETUAL_HOURS),
    "binance/error_403_cloudfront_geo.json": _cdn_page(
        "The Amazon CloudFront distribution is configured to block access from your country."
    ),
    "binance/error_403_cloudfront_waf.json": _cdn_page("Request blocked."),
    "binance/error_429_weight.json": _answer(
        {"code": -1003, "msg": "Too much request weight used; current limit is 2400 request weight per 1 MINUTE."},
        429,
        {"Retry-After": "n"},
    ),
    "binance/error_451_restricted.json": _text(
        '{"code": 0, "msg": "Service unavailable from a restricted location according to \'b. Eligibility\' in '
        "https://www.binance.com/en/terms. Please contact customer service if you believe you received this message "
        'in error."}',
        451,
    ),
    "kraken/ohlc_XBTUSDT_1m_721.json": _answer(_kraken([_kraken_minute(place) for place in range(KRAKEN_ROWS)])),
    "kraken/system_status.json": _answer(
        {"error": [], "result": {"status": "online", "timestamp": "2024-06-01T00:00:01Z"}}
    ),
    # The newest first; the start in seconds, every number in quotes.
    "coinbase/candles_1h_2rows.json": _answer(
        {
            "candles": [
                {"start": str(JUNE_S + HOUR_S), "low": "50050", "high": "50250.5", "open": "50100.02"}
                | {"close": "50200.75", "volume": "12.00100001"},
                {"start": str(JUNE_S), "low": "49950.25", "high": "50150", "open": "50000.01"}
                | {"close": "50100.02", "volume": "64.125"},
            ]
        }
    ),
    "coinbase/error_400_granularity.json": _answer({"text": "granularity argument is invalid"}, 400),
    "coinbase/error_400_too_many.json": _answer(
        {"message": "granularity too small for the requested time range. Count of aggregations exceeds 300"}, 400
    ),
    "coinbase/error_503_maintenance.json": _text("We are under maintenance. See our status page.", 503),
    "kucoin/error_400100_type.json": _answer({"msg": "This type of Candlestick is not provided.", "code": "400100"}),
    "kucoin/error_429000.json": _answer({"code": "429000", "msg": "Too Many Requests"}, 429),
    "parsed/blofin.json": {
        "fetchOHLCV_response": [
            {
                "httpResponse": _blofin(
                    [f"{JUNE_MS}", "2500.5", "2510", "2490.25", "2505", "650", "6.5", "16254", "0"]
                ),
                "parsedResponse": [[JUNE_MS, 2500.5, 2510.0, 2490.25, 2505.0, 6.5]],
            }
        ]
    },
    "parsed/derived_okx.json": _parsed(
        (
            *("BTC/USDT:USDT", "BTC-USDT-SWAP", "1m", OKX_SWAP_MINUTES),
            [
                [JUNE_MS, 50000.0, 50020.25, 49990.0, 50010.5, 12.345],
                [JUNE_MS + 60_000, 50010.5, 50030.0, 50001.5, 50020.0, 2.5],
            ],
        ),
        (
            *("BTC/USDT", "BTC-USDT", "1h", OKX_SPOT_HOURS),
            [
                [JUNE_MS, 50000.0, 50150.0, 49950.5, 50100.0, 64.5],
                [JUNE_MS + 3_600_000, 50100.0, 50250.5, 50050.0, 50200.0, 120.25],
            ],
        ),
    ),
    "parsed/derived_bybit.json": _parsed(
        (
            *("BTC/USDT:USDT", "BTCUSDT", "1d", BYBIT_DAYS),
            [
                [JUNE_MS, 50000.0, 50600.0, 49800.5, 50500.0, 1800.5],
                [JUNE_MS + 86_400_000, 50500.0, 51100.0, 50400.0, 51000.0, 2000.0],
                [JUNE_MS + 172_800_000, 51000.0, 51500.5, 50800.0, 51200.0, 1500.125],
            ],
        ),
        (
            *("BTC/USDT:USDT", "BTCUSDT", "1m", BYBIT_ODD_MINUTE),
            [[1_717_200_037_000, 50000.0, 50010.0, 49990.0, 50005.0, 12.5]],
        ),
    ),
    "parsed/derived_binance.json": _parsed(
        (
            *("BTC/USDT", "BTCUSDT", "1h", BINANCE_SPOT_HOURS),
            [
                [JUNE_MS, 50000.01, 50150.0, 49950.25, 50100.02, 64.125],
                [JUNE_MS + 3_600_000, 50100.02, 50250.5, 50050.0, 50200.0, 12.001],
            ],
        ),
        (
            *("BTC/USDT:USDT", "BTCUSDT", "1h", BINANCE_PERPETUAL_HOURS),
            [
                [JUNE_MS, 50000.1, 50150.0, 49950.2, 50100.3, 641.25],
                [JUNE_MS + 3_600_000, 50100.3, 50250.5, 50050.0, 50200.0, 120.01],
            ],
        ),
    ),
    # Spot: time in seconds, quote volume, close, high, low, open, coins; a perpetual's are named, ``v`` in contracts.
    "parsed/derived_gate.json": _parsed(
        (
            *("PEPE/USDT", "PEPE_USDT", "1m"),
            [[f"{JUNE_S}", "6250.5", "0.0000125", "0.0000127", "0.0000122", "0.0000124", "500000000.5"]],
            [[JUNE_MS, 0.0000124, 0.0000127, 0.0000122, 0.0000125, 500000000.5]],
        ),
        (
            *("BTC/USDT:USDT", "BTC_USDT", "1h"),
            [
                {
                    "t": JUNE_S,
                    "v": 54321,
                    "o": "50000",
                    "h": "50150.25",
                    "c": "50100.5",
                    "l": "49950.75",
                    "sum": "271877.5",
                }
            ],
            [[JUNE_MS, 50000.0, 50150.25, 49950.75, 50100.5, 54321.0]],
        ),
    ),
    "parsed/kraken.json": {
        "fetchOHLCV_response": [
            {
                "input": ["BTC/USDT", "1h", JUNE_MS + 1_800_000, 3],
                "httpResponse": KRAKEN_HOURS,
                "parsedResponse": [
                    [JUNE_MS + 3_600_000, 50050.2, 50200.0, 50000.0, 50150.5, 12.25000001],
                    [JUNE_MS + 7_200_000, 50150.5, 50300.9, 50100.0, 50250.0, 9.0],
                    [JUNE_MS + 10_800_000, 50250.0, 50260.0, 50240.0, 50255.5, 1.125],
                ],
            }
        ]
    },
    # Time, open, high, low, close, contracts.
    "parsed/kucoin.json": {
        "fetchOHLCV_response": [
            {
                "httpResponse": {
                    "code": "200000",
                    "data": [
                        [JUNE_MS, 50000.5, 50150.0, 49950, 50100.2, 345_678],
                        [JUNE_MS + 3_600_000, 50100.2, 50250.1, 50050, 50200, 120_000],
                    ],
                },
                "parsedResponse": [
                    [JUNE_MS, 50000.5, 50150.0, 49950, 50100.2, 345_678],
                    [JUNE_MS + 3_600_000, 50100.2, 50250.1, 50050, 50200, 120_000],
                ],
            }
        ]
    },
}
