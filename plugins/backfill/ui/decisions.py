"""Decisions of a person: the only routes of the pages that write."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException
from pydantic import BaseModel, Field

from backfill.errors import DecisionRefused, SeriesBusy
from backfill.jobs.by_hand import quarantine
from backfill.jobs.by_hand.dismiss_findings import dismiss_findings
from backfill.ui.answers import Decided, Problem
from backfill.ui.api import Reader

# Another site's page cannot send it without a preflight request, which we do not answer.
Marked = Annotated[str, Header(alias="X-Candles", pattern="^decide$")]
Id = Annotated[int, Field(ge=1, lt=2**63)]

router = APIRouter(
    responses={
        400: {"model": Problem, "description": "Not JSON"},
        409: {"model": Problem, "description": "It cannot be applied; nothing was changed"},
    }
)


class Decision(BaseModel):
    """Rows by id, all decided or none, and why."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=3, max_length=500, pattern=r"^[^\x00]+$")]


@router.post("/api/findings/dismiss")
def dismiss(reader: Reader, decision: Decision, _marked: Marked) -> Decided:
    """Dismiss findings that need no action."""
    try:
        dismiss_findings(reader.store, decision.ids, decision.reason)
    except DecisionRefused as error:
        raise HTTPException(409, str(error)) from error
    return Decided(decided=len(decision.ids))


@router.post("/api/quarantine/discard")
def discard(reader: Reader, decision: Decision, _marked: Marked) -> Decided:
    """Agree that the rows are wrong."""
    try:
        quarantine.discard(reader.store, decision.ids, decision.reason)
    except DecisionRefused as error:
        raise HTTPException(409, str(error)) from error
    return Decided(decided=len(decision.ids))


@router.post("/api/quarantine/release")
def release(reader: Reader, decision: Decision, _marked: Marked) -> Decided:
    """Store the rows as they were received; replaced bars go to ``revisions``."""
    try:
        quarantine.release(reader.store, decision.ids, decision.reason, reader.as_of.settle_ms)
    except (DecisionRefused, SeriesBusy) as error:
        raise HTTPException(409, str(error)) from error
    return Decided(decided=len(decision.ids))
