"""Receives a place and a time; gives the weather there: fronts that move over the country from the south-west.

A front is a band of rain across the wind's direction. The bands lie on one line that moves with the wind; each belongs
to a stretch of it and is drawn from the stretch's number, so that any time can be asked for without the times before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watling.devices.simulate.encode import uniforms

Floats = NDArray[np.float64]

SPEED_KMH = 42.0  # of the fronts
TOWARDS_DEG = 62.0  # they move to the east-north-east
STRETCH_KM = 110.0  # one front in each
MONTHLY_C = (5.2, 5.3, 7.6, 9.9, 13.3, 16.4, 18.7, 18.4, 15.6, 12.0, 8.0, 5.5)  # London, mean of day and night
WESTERLY_DEG, SOUTHERLY_DEG = 285.0, 200.0


@dataclass(frozen=True, slots=True)
class Station:
    """Where weather is measured."""

    id: str
    name: str
    latitude: float
    longitude: float


@cache
def load_stations() -> tuple[Station, ...]:
    text = (files("watling.devices") / "data" / "sites.json").read_text(encoding="utf-8")
    return tuple(Station(s["id"], s["name"], s["latitude"], s["longitude"]) for s in json.loads(text)["stations"])


class Weather:
    """`rain` is the share of time a place sees rain. Times are seconds since 1970."""

    def __init__(self, seed: int, rain: float) -> None:
        self.seed, self.rain = seed, rain

    def rain_mmh(self, latitude: Any, longitude: Any, seconds: float) -> Floats:
        """Rain in mm/h at places in degrees."""
        along, across = self._moving(latitude, longitude, seconds)
        along = along + 6 * np.sin(across / 35)  # fronts are not straight
        total: Floats = np.zeros(along.shape)
        if self.rain <= 0:
            return total
        cell = np.floor(along / STRETCH_KM)
        for shift in (-1, 0, 1):
            number = cell + shift
            names, back = np.unique(number.astype(np.int64), return_inverse=True)
            u = uniforms(self.seed, 3, names + 1_000_000)[:, back.reshape(along.shape)]
            centre = (number + 0.3 + 0.4 * u[0]) * STRETCH_KM
            width = STRETCH_KM * self.rain * (0.13 + 0.14 * u[1])
            peak = 0.8 + 9 * u[2] ** 3
            total += peak * np.exp(-0.5 * ((along - centre) / width) ** 2)
        return np.asarray(np.where(total < 0.08, 0.0, total))

    def _moving(self, latitude: Any, longitude: Any, seconds: float) -> tuple[Floats, Floats]:
        """Kilometres along and across the fronts' way, in the frame that moves with them."""
        north = (np.asarray(latitude, dtype=np.float64) - 52.0) * 111.2
        east = (np.asarray(longitude, dtype=np.float64) + 1.0) * 68.5
        a = np.radians(TOWARDS_DEG)
        return east * np.sin(a) + north * np.cos(a) - SPEED_KMH * (seconds / 3600), east * np.cos(a) - north * np.sin(a)

    def at(self, stations: tuple[Station, ...], seconds: float, busy: float, noise: Floats) -> dict[str, Any]:
        """Measurements at the stations, a list each. `busy` is how much traffic there is (1 by day), `noise` has four
        standard normal numbers for each station, `[4, stations]`."""
        lat, lon = np.asarray([s.latitude for s in stations]), np.asarray([s.longitude for s in stations])
        rain = self.rain_mmh(lat, lon, seconds)
        coming = self.rain_mmh(lat, lon, seconds + 2400)  # the air ahead of a front
        clouds = np.clip(rain * 2 + coming * 0.5 + 0.2, 0, 1)
        day = (seconds / 86_400) % 1
        year = (seconds / 86_400 / 365.2425) % 1 * 12 - 0.5
        month = MONTHLY_C[int(np.floor(year)) % 12] * (1 - year % 1) + MONTHLY_C[int(np.floor(year) + 1) % 12] * (
            year % 1
        )
        swing = 4.5 * np.cos(2 * np.pi * (day - 0.62)) * (1 - 0.65 * clouds)
        temperature = month + swing - 1.6 * np.minimum(rain, 2) - (lat - 51.5) * 0.7 + 0.15 * noise[0]
        wind = 11 + 3 * np.minimum(coming, 4) + 4 * np.minimum(rain, 5) + 1.2 * np.abs(noise[1])
        behind = rain > coming
        direction = np.where(behind, WESTERLY_DEG, SOUTHERLY_DEG) + 6 * noise[2]
        humidity = np.clip(96 - 2.6 * (temperature - month + 4.5) + 6 * np.minimum(rain, 2), 35, 100)
        fog = (humidity > 95) & (wind < 14) & (rain == 0)
        visibility = np.where(fog, 700, np.clip(24_000 / (1 + rain), 1_500, 24_000)) + 100 * np.abs(noise[3])
        mixing = 14 / wind
        no2 = (9 + 22 * busy * mixing) * np.exp(-0.08 * rain) + np.abs(noise[3])
        pm25 = (5 + 5 * mixing + 2.5 * busy) * np.exp(-0.15 * rain) + 0.3 * np.abs(noise[1])
        pm10 = pm25 * 1.6
        condition = np.select(
            [(rain > 0) & (temperature < 1), rain > 4, rain > 0, fog, clouds > 0.7, clouds > 0.3],
            ["Snow", "Heavy Rain", "Rain", "Fog", "Cloudy", "Partly Cloudy"],
            "Clear",
        )
        return {
            "temperature": np.round(temperature, 1).tolist(),
            "weatherCondition": condition.tolist(),
            "precipitation": np.round(rain, 2).tolist(),
            "windSpeed": np.round(wind, 1).tolist(),
            "humidity": np.round(humidity, 1).tolist(),
            "airQualityIndex": np.round(np.maximum(no2 / 40, pm25 / 15) * 50, 1).tolist(),
            "windDirection": np.round(np.mod(direction, 360), 0).tolist(),
            "visibility": np.round(visibility, 0).tolist(),
            "no2_ugm3": np.round(no2, 1).tolist(),
            "nox_ugm3": np.round(no2 * 1.7, 1).tolist(),
            "pm10_ugm3": np.round(pm10, 1).tolist(),
            "pm25_ugm3": np.round(pm25, 1).tolist(),
        }


def slows_to(rain_mmh: Floats) -> Floats:
    """Share of the dry speed that is driven: light rain takes 4 %, heavy rain up to 16 % (Agarwal, Maze and Souleyrette,
    "Impacts of weather on urban freeway traffic flow characteristics", Iowa State University 2005, in its order)."""
    return 1 - 0.04 * np.minimum(rain_mmh / 0.5, 1) - 0.12 * np.clip((rain_mmh - 0.5) / 6, 0, 1)


def keeps_apart(rain_mmh: Floats) -> Floats:
    """Factor on the time headway in rain."""
    return 1 + 0.08 * np.minimum(rain_mmh / 0.5, 1) + 0.17 * np.clip((rain_mmh - 0.5) / 6, 0, 1)
