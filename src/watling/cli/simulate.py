"""Receives the options of `watling simulate`; sends a simulated city to Kafka."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from watling.cli.examples import examples
from watling.cli.flags import settings
from watling.cli.values import duration as parse_duration
from watling.cli.values import moment


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling simulate", "1,000 vehicles, live, until Ctrl-C"),
            ("watling simulate --vehicles 20000 --rate 0.5", "a large fleet, a report every two seconds"),
            ("watling simulate --duration 1h --speed max --seed 7", "an hour of traffic as fast as Kafka takes it"),
            (
                "watling simulate --start 2026-05-04T07:00:00+01:00 --duration 2h",
                "Monday's rush hour; the same bytes each time",
            ),
        )
    )
    def simulate(
        context: typer.Context,
        vehicles: Annotated[int, typer.Option(help="Vehicles on the roads.")] = 1_000,
        rate: Annotated[float, typer.Option(help="Reports a second of each, on vehicle and on gps.")] = 1.0,
        seed: Annotated[int, typer.Option(help="The same seed and start give the same bytes.")] = 1,
        start: Annotated[str | None, typer.Option(help="First moment, ISO 8601. Default: now.", metavar="TIME")] = None,
        duration: Annotated[str | None, typer.Option(help="How much to simulate: 90s, 10m, 1h30m. Default: no end.", metavar="TIME")] = None,
        speed: Annotated[str, typer.Option(help="1 is live, 10 ten times as fast, max does not wait.")] = "1",
        noise: Annotated[float, typer.Option(help="Error of a position in metres.", metavar="METRES")] = 3.0,
        gaps: Annotated[float, typer.Option(help="Losses of signal of a vehicle in an hour.")] = 0.5,
        late: Annotated[float, typer.Option(help="Share of reports that come late.")] = 0.002,
        repeats: Annotated[float, typer.Option(help="Share of reports that are sent twice.")] = 0.001,
        incidents: Annotated[float, typer.Option(help="Incidents an hour over all roads.")] = 8.0,
        rain: Annotated[float, typer.Option(help="Share of the time that a place sees rain.")] = 0.25,
        camera_every: Annotated[str, typer.Option(help="Between two pictures of a camera.", metavar="TIME")] = "60s",
        weather_every: Annotated[str, typer.Option(help="Between two reports of a weather station.", metavar="TIME")] = "10s",
        pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Whether cameras send pictures.")] = True,
        clips: Annotated[Path | None, typer.Option(help="Recorded films whose frames replace drawn pictures (needs the extra `clips`).", metavar="DIR")] = None,
        json_: Annotated[bool, typer.Option("--json", help="At the end print what was sent as JSON.")] = False,
    ) -> None:  # fmt: skip
        """Send a simulated city: a fleet on the roads between London and Birmingham, cameras, weather and incidents."""
        found = settings(context)
        from watling.cli.sending import end, send_and_report
        from watling.cli.signals import stop_on_signals
        from watling.devices.producer import parse_speed
        from watling.devices.simulate import FleetOptions, Simulation

        source = Simulation(
            FleetOptions(
                vehicles=vehicles,
                rate=rate,
                seed=seed,
                start=moment(start, "--start") if start else None,
                duration=timedelta(seconds=parse_duration(duration, "--duration")) if duration else None,
                gps_noise_m=noise,
                gap_rate=gaps,
                late_rate=late,
                repeat_rate=repeats,
                incident_rate=incidents,
                rain=rain,
                camera_every_s=parse_duration(camera_every, "--camera-every"),
                weather_every_s=parse_duration(weather_every, "--weather-every"),
                pictures=pictures,
                clips=clips,
            )
        )
        how_fast = parse_speed(speed)
        stop = stop_on_signals()
        report = send_and_report(found, source, "simulate", speed=how_fast, json=json_, stop=stop.event)
        end(report, stop.by)
