"""Receives random numbers; gives the fleet its vehicles: makes and models seen on British roads, with what moves them.

Shares follow the DfT's vehicle licensing statistics in their order of size (VEH0120, VEH0101), not to the digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """Vehicle types, in the order of `KIND_NAMES`."""

    CAR = 0
    VAN = 1
    TRUCK = 2
    BUS = 3
    TAXI = 4
    MOTORCYCLE = 5
    AMBULANCE = 6
    POLICE = 7
    FIRE = 8
    RECOVERY = 9


KIND_NAMES = ("Car", "Van", "Truck", "Bus", "Taxi", "Motorcycle", "Ambulance", "Police", "Fire Engine", "Recovery")
EMERGENCY_KINDS = (Kind.AMBULANCE, Kind.POLICE, Kind.FIRE, Kind.RECOVERY)
KIND_SHARES = (0.72, 0.14, 0.09, 0.015, 0.02, 0.015)  # of the ordinary ones, on a motorway by day

# Per kind: desired speed on an open motorway (m/s) and its spread as a share, acceleration a (m/s²), time headway T (s),
# length (m), mass (kg), drag area (m²), engine's idle and usual cruising speed (1/min), power (kW).
DESIRED = np.asarray([32.0, 31.0, 24.7, 27.5, 31.0, 32.0, 36.0, 38.0, 34.0, 27.0])
SPREAD = np.asarray([0.07, 0.06, 0.015, 0.02, 0.06, 0.08, 0.03, 0.03, 0.03, 0.03])
PULL = np.asarray([1.2, 1.1, 0.5, 0.8, 1.2, 1.9, 1.8, 2.2, 1.1, 0.9])
HEADWAY = np.asarray([1.25, 1.35, 1.8, 1.7, 1.2, 1.1, 1.0, 0.9, 1.2, 1.6])
LENGTH = np.asarray([4.5, 5.6, 14.0, 12.0, 4.7, 2.2, 6.5, 4.8, 8.5, 9.0])
MASS = np.asarray([1_450, 2_300, 24_000, 14_000, 1_600, 300, 4_200, 1_800, 13_000, 9_000], dtype=np.float64)
DRAG = np.asarray([0.65, 1.15, 5.6, 5.0, 0.68, 0.5, 2.4, 0.75, 4.8, 4.2])
IDLE = np.asarray([800, 800, 550, 600, 800, 1_100, 750, 850, 650, 650], dtype=np.float64)
CRUISE = np.asarray([2_300, 2_300, 1_250, 1_500, 2_200, 4_300, 2_300, 2_600, 1_700, 1_700], dtype=np.float64)
POWER = np.asarray([95, 105, 330, 250, 100, 60, 140, 180, 220, 200], dtype=np.float64)

MODELS: dict[Kind, tuple[tuple[str, str, str, int], ...]] = {  # make, model, fuels, weight
    Kind.CAR: (
        ("Ford", "Fiesta", "petrol", 15), ("Ford", "Focus", "petrol diesel", 12), ("Ford", "Puma", "petrol hybrid", 6),
        ("Vauxhall", "Corsa", "petrol electric", 12), ("Vauxhall", "Astra", "petrol diesel", 9),
        ("Volkswagen", "Golf", "petrol diesel", 11), ("Volkswagen", "Polo", "petrol", 7),
        ("Volkswagen", "ID.3", "electric", 2), ("Nissan", "Qashqai", "petrol diesel", 9), ("Nissan", "Juke", "petrol", 5),
        ("Nissan", "Leaf", "electric", 2), ("BMW", "3 Series", "petrol diesel hybrid", 6), ("BMW", "1 Series", "petrol diesel", 5),
        ("Mercedes-Benz", "A-Class", "petrol diesel", 6), ("Audi", "A3", "petrol diesel", 6), ("Audi", "A4", "diesel", 4),
        ("Toyota", "Yaris", "hybrid petrol", 6), ("Toyota", "Corolla", "hybrid", 4), ("Toyota", "Prius", "hybrid", 2),
        ("Kia", "Sportage", "petrol hybrid diesel", 5), ("Kia", "Picanto", "petrol", 4), ("Hyundai", "Tucson", "hybrid petrol", 4),
        ("MINI", "Hatch", "petrol electric", 6), ("Peugeot", "208", "petrol electric", 5), ("Renault", "Clio", "petrol", 4),
        ("Skoda", "Octavia", "diesel petrol", 4), ("Land Rover", "Discovery Sport", "diesel", 3), ("Volvo", "XC40", "petrol electric", 3),
        ("Tesla", "Model 3", "electric", 4), ("Tesla", "Model Y", "electric", 4), ("MG", "MG4", "electric", 2), ("Honda", "Jazz", "hybrid petrol", 4),
    ),
    Kind.VAN: (
        ("Ford", "Transit Custom", "diesel", 30), ("Ford", "Transit", "diesel electric", 18), ("Volkswagen", "Transporter", "diesel", 14),
        ("Mercedes-Benz", "Sprinter", "diesel", 14), ("Vauxhall", "Vivaro", "diesel electric", 12), ("Citroen", "Berlingo", "diesel", 9),
        ("Peugeot", "Expert", "diesel", 6), ("Renault", "Trafic", "diesel", 7),
    ),
    Kind.TRUCK: (
        ("DAF", "XF", "diesel", 28), ("Scania", "R 450", "diesel", 20), ("Volvo", "FH", "diesel", 18), ("Mercedes-Benz", "Actros", "diesel", 16),
        ("MAN", "TGX", "diesel", 12), ("Iveco", "S-Way", "diesel lng", 6), ("Renault", "T", "diesel", 4),
    ),
    Kind.BUS: (("Volvo", "B11R", "diesel", 4), ("Scania", "Irizar i6S", "diesel", 3), ("Alexander Dennis", "Enviro400", "diesel hybrid", 3)),
    Kind.TAXI: (("LEVC", "TX", "hybrid", 5), ("Toyota", "Prius", "hybrid", 6), ("Mercedes-Benz", "Vito", "diesel", 2)),
    Kind.MOTORCYCLE: (("BMW", "R 1250 GS", "petrol", 3), ("Triumph", "Tiger 900", "petrol", 3), ("Honda", "CB500X", "petrol", 2), ("Yamaha", "MT-07", "petrol", 2)),
    Kind.AMBULANCE: (("Mercedes-Benz", "Sprinter", "diesel", 3), ("Fiat", "Ducato", "diesel", 2)),
    Kind.POLICE: (("BMW", "5 Series", "diesel", 2), ("Volvo", "XC90", "diesel", 2), ("Skoda", "Octavia", "petrol", 1)),
    Kind.FIRE: (("Scania", "P 320", "diesel", 1),),
    Kind.RECOVERY: (("DAF", "LF", "diesel", 1), ("MAN", "TGM", "diesel", 1)),
}  # fmt: skip
FUELS = ("petrol", "diesel", "hybrid", "electric", "lng")
# Energy of a litre in MJ and CO2 of a litre in kg (UK Government conversion factors 2024); electric burns nothing.
LITRE_MJ = np.asarray([32.2, 35.9, 32.2, np.nan, 22.2])
LITRE_CO2 = np.asarray([2.31, 2.68, 2.31, np.nan, 1.2])
EFFICIENCY = np.asarray([0.28, 0.36, 0.36, 0.9, 0.34])


@dataclass(frozen=True, slots=True)
class Variant:
    kind: Kind
    make: str
    model: str
    year: int
    fuel: int


def _variants() -> tuple[tuple[Variant, ...], dict[Kind, NDArray[np.int64]], dict[Kind, NDArray[np.float64]]]:
    variants: list[Variant] = []
    which: dict[Kind, NDArray[np.int64]] = {}
    weights: dict[Kind, NDArray[np.float64]] = {}
    years = range(2010, 2026)
    for kind, models in MODELS.items():
        start, share = len(variants), []
        for make, model, fuels, weight in models:
            for fuel in fuels.split():
                for year in years:
                    if fuel == "electric" and year < 2018:
                        continue
                    variants.append(Variant(kind, make, model, year, FUELS.index(fuel)))
                    share.append(weight / len(fuels.split()) * np.exp(-(((year - 2018) / 5) ** 2)))
        which[kind] = np.arange(start, len(variants))
        weights[kind] = np.cumsum(share) / np.sum(share)
    return tuple(variants), which, weights


VARIANTS, _WHICH, _WEIGHTS = _variants()
VARIANT_FUEL = np.asarray([v.fuel for v in VARIANTS])


def kinds_of(u: NDArray[np.float64]) -> NDArray[np.int8]:
    """Kinds of ordinary vehicles; `u` is uniform in 0 to 1."""
    return np.searchsorted(np.cumsum(KIND_SHARES[:-1]), u).astype(np.int8)


def variants_of(kinds: NDArray[np.int8], u: NDArray[np.float64]) -> NDArray[np.int32]:
    """Numbers into `VARIANTS`, one for each kind given; `u` is uniform in 0 to 1."""
    out = np.empty(len(kinds), dtype=np.int32)
    for kind in np.unique(kinds):
        mine = kinds == kind
        out[mine] = _WHICH[Kind(kind)][np.searchsorted(_WEIGHTS[Kind(kind)], u[mine])]
    return out
