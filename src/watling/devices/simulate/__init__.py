"""Receives options; gives a believable city: a fleet on real motorways, cameras, weather and incidents, as wire records."""

from watling.devices.simulate.options import FleetOptions
from watling.devices.simulate.simulation import Simulation

__all__ = ["FleetOptions", "Simulation"]
