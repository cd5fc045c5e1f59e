"""Receives the name of a unit; gives the factor and offset that turn a value into the wire's unit of its kind."""

from __future__ import annotations

UNITS: dict[str, tuple[float, float]] = {
    "km/h": (1.0, 0.0), "mph": (1.609344, 0.0), "m/s": (3.6, 0.0), "kn": (1.852, 0.0),
    "C": (1.0, 0.0), "F": (5 / 9, -160 / 9), "K": (1.0, -273.15),
    "m": (1.0, 0.0), "km": (1000.0, 0.0), "ft": (0.3048, 0.0), "mi": (1609.344, 0.0),
    "mm": (1.0, 0.0), "cm": (10.0, 0.0), "in": (25.4, 0.0),
    "deg": (1.0, 0.0), "rad": (57.29577951308232, 0.0),
    "%": (1.0, 0.0), "fraction": (100.0, 0.0),
    "l/h": (1.0, 0.0), "ml/s": (3.6, 0.0), "gal/h": (3.785411784, 0.0),
    "kg/h": (1.0, 0.0), "g/s": (3.6, 0.0), "g/h": (0.001, 0.0),
    "ug/m3": (1.0, 0.0), "mg/m3": (1000.0, 0.0), "veh/h": (1.0, 0.0), "veh/min": (60.0, 0.0),
    "s": (1.0, 0.0), "min": (60.0, 0.0), "h": (3600.0, 0.0), "1": (1.0, 0.0),
}  # fmt: skip
"""Wire units: speeds km/h, temperatures °C, lengths m, rain mm, angles degrees, shares %, fuel l/h, mass flow kg/h,
concentrations µg/m³, flows vehicles/h, intervals s. Factors are exact by definition where one exists."""
