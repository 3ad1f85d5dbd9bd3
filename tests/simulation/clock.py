"""A clock that goes only when the world sleeps, in Python and in Postgres."""

from __future__ import annotations

import re
import sys
import time as real_time
from collections.abc import Iterator
from contextlib import contextmanager

from backfill.storage.migrations import Migration, known_migrations

# The schema `sim` comes before pg_catalog in each simulated session, so our queries ask its clock.
SEARCH_PATH = "backfill, sim, pg_catalog, public"
# A setting of the session: unlike a table's row it costs a query nothing, since the planner puts it in place.
CLOCK_SQL = """
CREATE SCHEMA sim;
CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE
AS $$ SELECT to_timestamp(current_setting('sim.at_ms')::float8 / 1000) $$;
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
AS $$ SELECT to_timestamp(current_setting('sim.at_ms')::float8 / 1000) $$;
CREATE FUNCTION sim.drop_months() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    months text;
BEGIN
    SELECT string_agg(inhrelid::regclass::text, ', ') INTO months FROM pg_inherits
    WHERE inhparent = 'backfill.candles'::regclass AND inhrelid <> 'backfill.candles_default'::regclass;
    IF months IS NOT NULL THEN
        EXECUTE 'DROP TABLE ' || months;
    END IF;
END $$;
CREATE FUNCTION sim.delete_all() RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = 'backfill'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
        AND relname <> 'schema_migrations'
    LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
    PERFORM setval(oid::regclass, 1, false) FROM pg_class
    WHERE relnamespace = 'backfill'::regnamespace AND relkind = 'S';
END $$;
"""
ROOMS = ("backfill.storage.", "backfill.sources.", "backfill.jobs.", "backfill.exchanges.")


class SimClock:
    """Epoch ms; stands in for the module ``time`` where the engine imports it."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def advance(self, ms: float) -> None:
        self.now_ms += max(1, round(ms))

    # -- the module's names

    def time(self) -> float:
        return self.now_ms / 1000

    monotonic = time

    def time_ns(self) -> int:
        return self.now_ms * 1_000_000

    def sleep(self, seconds: float) -> None:
        self.advance(1000 * seconds)


def migrations_by_its_clock() -> list[Migration]:
    """Our schema, with functions and defaults that ask the simulated clock."""
    return [
        one._replace(sql=re.sub(r"(?<![\w.])(now|clock_timestamp)\(\)", r"sim.\1()", one.sql))
        for one in known_migrations()
    ]


@contextmanager
def engine_lives_by(clock: SimClock) -> Iterator[None]:
    """Within: the engine's modules that import ``time`` or ``monotonic`` have the simulated one."""
    names = {"time": (real_time, clock), "monotonic": (real_time.monotonic, clock.monotonic)}
    replaced = [
        (module, name, real, simulated)
        for module in [module for key, module in sys.modules.items() if key.startswith(ROOMS)]
        for name, (real, simulated) in names.items()
        if vars(module).get(name) is real
    ]
    for module, name, _, simulated in replaced:
        setattr(module, name, simulated)
    try:
        yield
    finally:
        for module, name, real, _ in replaced:
            setattr(module, name, real)
