"""Checks typed addresses and returns them as libraries take them.

ValueError never repeats an address, which may hold a password.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

PROXY_SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")


def postgres_uri(text: str) -> str:
    """A libpq URI, also from ``postgres://`` and SQLAlchemy's ``postgresql+driver://``."""
    uri, changed = re.subn(r"^postgres(ql)?(\+\w+)?://", "postgresql://", text.strip())
    if not changed:
        raise ValueError("not a Postgres URI; write postgresql://user:password@host:5432/database")
    if "#" in uri:
        raise ValueError("'#' cannot stand in a URI; in a password write it as %23")
    # With a raw '@' or '%' in a password, libpq's errors would show part of it.
    if re.match(r"[^/?]*//[^/?]*@[^/?]*@", uri):
        raise ValueError("an '@' in a user or password is written %40")
    if re.search("%(?![0-9A-Fa-f]{2})", uri):
        raise ValueError("a '%' is written %25")
    if "," not in uri:  # libpq takes several hosts, urlsplit one
        _split(uri)
    return uri


def http_url(text: str) -> str:
    """An HTTP server's base URL, without a trailing slash."""
    url = text.strip()
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
        raise ValueError("not an http(s) URL; write one such as https://openapi.blofin.com")
    if "@" in parts.netloc:
        raise ValueError("holds a user or password; put them into the connection's login and password")
    if parts.query or parts.fragment:
        raise ValueError("a base URL ends before any '?' or '#'")
    return url.rstrip("/")


def proxy_url(text: str) -> str:
    """A proxy as `requests` takes it."""
    parts = _split(text.strip())
    if parts.scheme not in PROXY_SCHEMES or not parts.hostname:
        raise ValueError(f"not a proxy URL; it starts with one of {', '.join(s + '://' for s in PROXY_SCHEMES)}")
    return text.strip()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port  # checked only on access
    except ValueError:
        raise ValueError("its host or port cannot be read; a port is a number from 1 to 65535") from None
    if port == 0:
        raise ValueError("port 0 cannot be connected to")
    return parts
