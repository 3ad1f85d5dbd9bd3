"""Who may use the local ports, and who may not."""

from __future__ import annotations

import pytest
import requests

from backfill.config.loopback import refusal
from backfill.paper.limits import NO_LIMITS
from backfill.paper.server import PaperExchange
from backfill.paper.synthetic_market import SyntheticMarket
from waiting import PATIENCE_S


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8900", "localhost:8080", "LOCALHOST", "[::1]:8080"])
@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:8900", "http://localhost"])
def test_this_machines_own_names_are_let_in(host: str, origin: str | None) -> None:
    assert refusal(host, origin) is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "evil.example:8080",
        "localhost@evil.example",
        "10.0.0.1",
        "[::1",
    ],
)
def test_any_other_host_is_refused(host: str | None) -> None:
    assert refusal(host, None) is not None


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example", "http://127.0.0.1.evil.example", "http://["])
def test_a_foreign_origin_is_refused_whatever_the_host(origin: str) -> None:
    assert refusal("127.0.0.1", origin) is not None


def test_the_paper_exchange_lets_no_other_site_switch_its_faults() -> None:
    with PaperExchange(SyntheticMarket(), limits=NO_LIMITS) as exchange, requests.Session() as session:
        url = exchange.url + "/paper/faults/error_503"
        for foreign in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            assert session.post(url, headers=foreign, timeout=PATIENCE_S).status_code == 403
        assert exchange.faults.are_on() == []
        market = session.get(exchange.url + "/api/v1/market/instruments", headers={"Host": "x"}, timeout=PATIENCE_S)
        assert market.status_code == 200
        assert session.post(url, headers={"Origin": exchange.url}, timeout=PATIENCE_S).status_code == 204
