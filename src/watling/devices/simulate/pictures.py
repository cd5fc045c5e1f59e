"""Receives what a camera sees; gives the JPEG of it: a drawn road with the vehicles in view, the camera's name and the time.

The perspective is that of a camera on a mast looking along the road: a vehicle at distance d is drawn at 1/d.
"""

from __future__ import annotations

import io
from datetime import datetime
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from watling.devices.simulate.cameras import VIEW_M, Camera, View
from watling.devices.simulate.catalogue import Kind

WIDTH, HEIGHT, HORIZON = 352, 288, 84  # as TfL's cameras
QUALITY = 60
NEAR_M = 26.0  # the nearest point of the road in view
ROAD_TOP, ROAD_BOTTOM = 10, 260  # half widths in pixels at the horizon and at the bottom edge
PAINT = ((196, 40, 36), (38, 66, 138), (214, 214, 210), (28, 28, 30), (118, 122, 126), (16, 96, 84), (224, 172, 40))
SPECIAL = {
    Kind.AMBULANCE: (246, 220, 60),
    Kind.POLICE: (250, 250, 90),
    Kind.FIRE: (212, 20, 24),
    Kind.RECOVERY: (240, 130, 20),
}


def draw(camera: Camera, view: View, when: datetime, rain_mmh: float) -> bytes:
    """A JPEG of 352 × 288 pixels, some 6 to 10 KB, the same for the same arguments."""
    light = daylight(when)
    image = _scene(round(light, 1), round(min(rain_mmh, 4) * 2) / 2).copy()
    pen = ImageDraw.Draw(image)
    for vehicle in sorted(view.seen, key=lambda s: -abs(s.ahead_m)):
        _vehicle(pen, vehicle.ahead_m, vehicle.lane, vehicle.kind, vehicle.northbound, light)
    _caption(pen, camera, view, when)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def daylight(when: datetime) -> float:
    """How light it is, 0 to 1, by the hour (UTC) and the season in the middle of England."""
    hour = when.hour + when.minute / 60
    half = 6.1 + 2.3 * np.cos(2 * np.pi * (when.timetuple().tm_yday - 172) / 365)
    return float(np.clip((half - abs(hour - 12.1)) / 1.2 + 0.5, 0, 1))


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def _mix(a: tuple[int, int, int], b: tuple[int, int, int], t: float) -> tuple[int, int, int]:
    return (round(a[0] + (b[0] - a[0]) * t), round(a[1] + (b[1] - a[1]) * t), round(a[2] + (b[2] - a[2]) * t))


@cache
def _scene(light: float, rain: float) -> Image.Image:
    """The empty road at that light and rain."""
    sky_day = _mix((150, 190, 226), (150, 154, 160), min(1.0, rain / 1.5))
    top, low = _mix((14, 18, 34), sky_day, light), _mix((44, 44, 52), _mix(sky_day, (235, 235, 230), 0.55), light)
    image = Image.new("RGB", (WIDTH, HEIGHT))
    pen = ImageDraw.Draw(image)
    for y in range(HORIZON):
        pen.line([(0, y), (WIDTH, y)], fill=_mix(top, low, y / HORIZON))
    grass = _mix((16, 24, 18), (92, 122, 66), light)
    pen.rectangle([0, HORIZON, WIDTH, HEIGHT], fill=grass)
    pen.polygon(
        [
            (0, HORIZON),
            (90, HORIZON - 9),
            (170, HORIZON - 3),
            (260, HORIZON - 12),
            (WIDTH, HORIZON - 4),
            (WIDTH, HORIZON),
        ],
        fill=_mix(grass, low, 0.35),
    )
    road = _mix((38, 38, 42), (108, 108, 110), light)
    centre = WIDTH / 2
    pen.polygon(
        [
            (centre - ROAD_TOP, HORIZON),
            (centre + ROAD_TOP, HORIZON),
            (centre + ROAD_BOTTOM, HEIGHT),
            (centre - ROAD_BOTTOM, HEIGHT),
        ],
        fill=road,
    )
    line = _mix((120, 120, 116), (236, 236, 230), light)
    for side in (-1, 1):
        pen.line(
            [(centre + side * ROAD_TOP * 0.94, HORIZON), (centre + side * ROAD_BOTTOM * 0.94, HEIGHT)],
            fill=line,
            width=2,
        )
    pen.polygon(
        [(centre - 0.6, HORIZON), (centre + 0.6, HORIZON), (centre + 15, HEIGHT), (centre - 15, HEIGHT)],
        fill=_mix(road, (150, 150, 148), 0.5),
    )
    for across in (-0.66, -0.36, 0.36, 0.66):
        for start in np.arange(NEAR_M, VIEW_M, 18):
            (x0, y0, _), (x1, y1, _) = _project(start, across), _project(start + 6, across)
            pen.line([(x0, y0), (x1, y1)], fill=line, width=2 if start < 60 else 1)
    if rain > 0:
        drops = np.random.default_rng(7).integers(0, [WIDTH, HEIGHT], (int(60 + 60 * rain), 2))
        for x, y in drops.tolist():
            pen.line([(x, y), (x - 2, y + 7)], fill=_mix(road, (230, 230, 235), 0.35))
    return image


def _project(distance: float, across: float) -> tuple[float, float, float]:
    """Pixel of a point on the road (-1 left edge, 1 right edge) and the size of a metre there."""
    t = NEAR_M / distance
    half = ROAD_TOP + (ROAD_BOTTOM - ROAD_TOP) * t
    return WIDTH / 2 + across * half, HORIZON + (HEIGHT - HORIZON) * t, half / 15


def _vehicle(pen: ImageDraw.ImageDraw, ahead_m: float, lane: int, kind: int, northbound: bool, light: float) -> None:
    """Traffic away from the camera keeps to the left half, oncoming to the right. What is behind the camera is seen
    from a second angle; both views share the picture, so that every vehicle in view is in it."""
    inward = {0: 0.8, 1: 0.51, 2: 0.21}.get(lane, 0.96)
    across = -inward if northbound else inward
    distance = 40 + abs(ahead_m) * 0.45
    x, y, metre = _project(distance, across)
    wide, high = {Kind.TRUCK: (2.6, 3.9), Kind.BUS: (2.6, 3.4), Kind.VAN: (2.1, 2.4), Kind.MOTORCYCLE: (0.9, 1.5)}.get(
        Kind(kind), (1.9, 1.5)
    )
    if kind >= Kind.AMBULANCE:
        high = 2.6
    w, h = max(2.0, wide * metre / 2), max(3.0, high * metre)
    paint = SPECIAL.get(Kind(kind), PAINT[(int(abs(ahead_m) * 7) + lane * 3 + kind) % len(PAINT)])
    paint = _mix(_mix(paint, (12, 12, 16), 0.7), paint, max(light, 0.15))
    pen.rectangle([x - w, y - h, x + w, y], fill=paint, outline=_mix(paint, (0, 0, 0), 0.45))
    if h > 7:
        pen.rectangle([x - w * 0.8, y - h * 0.9, x + w * 0.8, y - h * 0.55], fill=(44, 52, 60))
    lamp = (255, 60, 50) if northbound else (255, 250, 210)
    size = max(1.0, metre * 0.18)
    if light < 0.6 or northbound:
        for side in (-1, 1):
            cx = x + side * w * 0.72
            pen.ellipse([cx - size, y - h * 0.3 - size, cx + size, y - h * 0.3 + size], fill=lamp)


def _caption(pen: ImageDraw.ImageDraw, camera: Camera, view: View, when: datetime) -> None:
    pen.rectangle([0, 0, WIDTH, 19], fill=(0, 0, 0))
    pen.text((5, 3), camera.name, fill=(255, 255, 255), font=_font(12))
    text = when.strftime("%d %b %Y %H:%M:%S UTC")
    pen.text((WIDTH - 5 - pen.textlength(text, font=_font(12)), 3), text, fill=(255, 255, 255), font=_font(12))
    count = len(view.seen)
    pen.rectangle([0, HEIGHT - 17, 96, HEIGHT], fill=(0, 0, 0))
    pen.text(
        (5, HEIGHT - 16), f"{count} vehicle{'s' if count != 1 else ''} in view", fill=(255, 220, 120), font=_font(10)
    )
