"""A ``requests`` adapter that answers from a list instead of a socket."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``body`` may be any file that urllib3 can read."""

    body: bytes | io.IOBase
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def envelope(data: Any = (), code: object = "0", msg: str = "success") -> Answer:
    """What Blofin says with status 200."""
    return Answer(json.dumps({"code": code, "msg": msg, "data": data}).encode())


class CannedAnswers(HTTPAdapter):
    """Gives the answers in turn, the last one again and again; an exception is raised instead."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self.options: list[dict[str, Any]] = []
        self._answers = answers

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.requests.append(request)
        self.options.append(options)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        body = io.BytesIO(answer.body) if isinstance(answer.body, bytes) else answer.body
        raw = urllib3.HTTPResponse(body, answer.headers, answer.status, preload_content=False)
        return self.build_response(request, raw)


def session_with(adapter: HTTPAdapter) -> requests.Session:
    session = requests.Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
