"""Checks of the addresses people type: a Postgres URI, an exchange's base URL, a proxy.

Each function returns the address in the form the libraries take, or raises ValueError with a sentence that
never repeats the address: it may hold a password.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

PROXY_SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")


def postgres_uri(text: str) -> str:
    """A libpq URI. ``postgres://`` and SQLAlchemy's ``postgresql+driver://`` are taken as ``postgresql://``."""
    uri, changed = re.subn(r"^postgres(ql)?(\+\w+)?://", "postgresql://", text.strip())
    if not changed:
        raise ValueError("not a Postgres URI; write postgresql://user:password@host:5432/database")
    if "#" in uri:
        raise ValueError("'#' cannot stand in a URI; in a password write it as %23")
    # libpq would take what follows the first '@' for the host and repeat it in its errors, and so with a stray '%'.
    if re.match(r"[^/?]*//[^/?]*@[^/?]*@", uri):
        raise ValueError("an '@' in a user or password is written %40")
    if re.search("%(?![0-9A-Fa-f]{2})", uri):
        raise ValueError("a '%' is written %25")
    if "," not in uri:  # libpq takes several hosts, each with its port; urlsplit takes one
        _split(uri)
    return uri


def http_url(text: str) -> str:
    """A base URL of an HTTP server, without a slash at its end."""
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
        port = parts.port  # computed, and checked, only when asked for
    except ValueError:
        raise ValueError("its host or port cannot be read; a port is a number from 1 to 65535") from None
    if port == 0:
        raise ValueError("port 0 cannot be connected to")
    return parts
