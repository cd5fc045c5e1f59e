"""Receives British National Grid coordinates; gives WGS 84 degrees.

pyproj with its built-in data and the network off. Without the OSTN15 grid this is the 7-parameter Helmert
transformation of EPSG:27700, right to about 3 m over Great Britain.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
from pyproj import Transformer
from pyproj.network import set_network_enabled  # type: ignore[attr-defined] # re-exported without __all__

EASTINGS = (0.0, 700_000.0)
NORTHINGS = (0.0, 1_300_000.0)


@cache
def _transformer() -> Transformer:
    set_network_enabled(active=False)
    return Transformer.from_crs("EPSG:27700", "EPSG:4326", always_xy=True)


def wgs84(easting: pa.Array, northing: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Latitude and longitude (doubles, rounded to 1e-7 degrees) of eastings and northings in metres; null where
    either is null or off the grid."""
    e = np.asarray(easting.fill_null(np.nan), dtype=np.float64)
    n = np.asarray(northing.fill_null(np.nan), dtype=np.float64)
    on = (e > EASTINGS[0]) & (e < EASTINGS[1]) & (n > NORTHINGS[0]) & (n < NORTHINGS[1])
    longitude, latitude = _transformer().transform(np.where(on, e, 400_000.0), np.where(on, n, 300_000.0))
    return tuple(pa.array(np.round(v, 7), mask=~on) for v in (latitude, longitude))
