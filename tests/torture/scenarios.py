"""Owns the list of scenarios."""

from tests.torture.damage import Certificates, Descriptors, Networks, Points, RealData, Store
from tests.torture.edits import Edits
from tests.torture.faults import Calls, CallsOfFigures, Clocks, Journals, KilledAtCalls, Limits
from tests.torture.kills import Groups, Kills, Workers
from tests.torture.options import Options
from tests.torture.scenario import Scenario

SCENARIOS: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Edits,
        Store,
        Calls,
        CallsOfFigures,
        KilledAtCalls,
        Journals,
        Kills,
        Groups,
        Workers,
        Limits,
        Clocks,
        Descriptors,
        Networks,
        Certificates,
        Points,
        RealData,
        Options,
    )
}
