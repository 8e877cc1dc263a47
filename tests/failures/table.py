"""All faults by name: what strikes instances, Push Kit, Kafka and the violations, and deaths at named points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.failures import faults
from tests.failures.deaths import DEATHS
from tests.failures.faults import Fault

FAULTS: Final[Mapping[str, Fault]] = {**faults.FAULTS, **DEATHS}
