"""Receives a folder of recorded films of cameras; gives JPEG frames of them instead of drawn pictures.

Needs the extra `clips` (PyAV). Frames are decoded once, one a second of film, and kept as JPEG.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from watling.errors import UsageError

SUFFIXES = (".mp4", ".mkv", ".mov", ".avi")
MAX_FILMS, MAX_FRAMES = 64, 60
QUALITY = 70


class Clips:
    """The frames of every film in a folder, in the order of the films' names.

    Raises:
        UsageError: PyAV is not installed, or the folder holds no film that can be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import av
        except ImportError:
            raise UsageError(
                "camera pictures from films need PyAV: install watling[clips], or leave --clips out for drawn pictures"
            ) from None
        films = sorted(p for p in Path(folder).glob("*") if p.suffix.lower() in SUFFIXES)[:MAX_FILMS]
        self.films = [frames for frames in (_frames(av, film) for film in films) if frames]
        if not self.films:
            raise UsageError(f"no film in {folder}: it takes {', '.join(SUFFIXES)} files", folder=str(folder))

    def frame(self, camera: int, time_us: int) -> bytes:
        """The frame that camera shows at that time: films go round, each camera keeps its own."""
        film = self.films[camera % len(self.films)]
        return film[time_us // 1_000_000 % len(film)]


def _frames(av: Any, film: Path) -> list[bytes]:
    frames: list[bytes] = []
    try:
        with av.open(str(film)) as container:
            after = 0.0
            for frame in container.decode(video=0):
                if frame.time is not None and frame.time < after:
                    continue
                out = io.BytesIO()
                frame.to_image().save(out, "JPEG", quality=QUALITY)
                frames.append(out.getvalue())
                after += 1.0
                if len(frames) == MAX_FRAMES:
                    break
    except av.error.FFmpegError as error:
        raise UsageError(
            f"{film} cannot be read as a film: {error}. Take it out of the folder", film=str(film)
        ) from None
    return frames
