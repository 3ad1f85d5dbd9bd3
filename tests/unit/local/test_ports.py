"""Which port a server of ours gets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from backfill.errors import ConfigurationError
from backfill.local.ports import HOST, is_free, reserved_port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_wished_port_that_is_taken_is_an_error_that_names_the_variable(taken: int) -> None:
    with (
        pytest.raises(ConfigurationError, match=f"BACKFILL_API_PORT={taken}"),
        reserved_port(taken, 8080, "BACKFILL_API_PORT"),
    ):
        pass


def test_without_a_wish_a_taken_default_gives_way_to_the_next_free_port(taken: int) -> None:
    with reserved_port(None, taken, "BACKFILL_API_PORT") as port:
        assert port > taken
        assert is_free(port)


def test_two_stacks_that_choose_before_either_listens_choose_differently(taken: int) -> None:
    with reserved_port(None, taken, "X") as first, reserved_port(None, taken, "X") as second:
        assert first != second
        with pytest.raises(ConfigurationError, match=f"X={first}"), reserved_port(first, 1, "X"):
            pass


def test_a_reservation_ends_with_its_block(taken: int) -> None:
    with reserved_port(None, taken, "X") as first:
        pass
    with reserved_port(first, 1, "X") as second:
        assert second == first
