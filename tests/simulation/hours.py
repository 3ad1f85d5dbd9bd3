"""A day or more of runs, faults in a part of them, counted against the same world without faults."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from integration.helpers import HOUR_MS
from simulation.model import Model
from simulation.world import EVERY_MS, FAIR, World

# No window ends before its bars could be fetched: what is missing at the end was lost, not outlived.
SPARE_HOURS = 2
ROWS_PER_PAGE = 100
# A part of the runs has faults; the last quarter has none.
STORMY_SHARE = 1 / 3
CLEAN_SHARE = 1 / 4
VALIDATED_EVERY = 6
MOST = 1.05


@dataclass(frozen=True)
class Hours:
    """What a world's runs came to."""

    runs: int
    stormy: int
    faults: int
    deaths: int
    asked: int
    spoiled: int
    missing: int
    wrong: int
    trace: list[str]
    error: str | None = None

    @property
    def answered(self) -> int:
        """Requests whose answer came as the exchange has it."""
        return self.asked - self.spoiled


def history_of(hours: int) -> dict[str, int]:
    """What the series of such a world want."""
    return {"1m": (hours + SPARE_HOURS) * HOUR_MS, "1h": (hours + 24) * HOUR_MS}


def played(world: World, hours: int, *, with_faults: bool) -> Hours:
    """Runs every half hour; after each the model's safety, at the end whether all is whole."""
    model, runs = Model(world), hours * HOUR_MS // EVERY_MS
    stormy = missing = wrong = 0
    error: str | None = None
    with world.living():
        try:
            world.declare()
            for number in range(runs):
                may_storm = with_faults and number < (1 - CLEAN_SHARE) * runs
                weather = world.storm() if may_storm and world.dice.random() < STORMY_SHARE else FAIR
                stormy += weather is not FAIR
                due = model.due(world.windows())
                world.run(weather, validate=number % VALIDATED_EVERY == 0)
                model.check_safety()
            missing, wrong = len(model.missing(due)), len(model.wrong(due))
            assert not missing, f"still not whole: {model.missing(due)[:5]}"
            assert not wrong, f"wrong: {model.wrong(due)[:2]}"
            assert not world.network.broken_bans, f"asked while banned: {world.network.broken_bans[:3]}"
        except Exception:  # noqa: BLE001 - whatever escapes is a finding
            error = traceback.format_exc(limit=-6)
    network = world.network
    return Hours(
        runs, stormy, world.faults, world.deaths, network.asked, network.spoiled, missing, wrong, world.trace, error
    )
