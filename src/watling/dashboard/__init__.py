"""Receives settings, contracts, a status source and feeds; gives the live page on one address."""

from watling.dashboard.app import Feed, create_app
from watling.dashboard.hot import HotState
from watling.dashboard.serve import PortTaken, serve
from watling.dashboard.status import StatusSource

__all__ = ["Feed", "HotState", "PortTaken", "StatusSource", "create_app", "serve"]
