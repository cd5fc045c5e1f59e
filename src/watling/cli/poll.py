"""Receives the options of `watling poll`; asks a live feed again and again and sends what is new to Kafka."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from watling.cli.examples import examples
from watling.cli.flags import settings
from watling.cli.values import pairs
from watling.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling poll gtfs-rt https://city.example/vehicles.pb --every 15s", "until Ctrl-C"),
            (
                "watling poll siri-vm https://city.example/vm --key-env CITY_KEY --key-parameter api_key",
                "the key comes from the environment only",
            ),
            (
                "watling poll csv http://10.0.0.5/log.csv --map m.yaml --allow-private --times 1",
                "once, from a machine of your own",
            ),
        )
    )
    def poll(
        context: typer.Context,
        source: Annotated[str, typer.Argument(metavar="SOURCE", help="The feed's format; see `watling replay --help`.")],
        url: Annotated[str, typer.Argument(metavar="URL", help="Its address, http or https.")],
        every: Annotated[str, typer.Option(help="Between two requests: 500ms, 15s, 2m, 1h.", metavar="TIME")] = "15s",
        times: Annotated[int | None, typer.Option(help="End after so many requests. Default: no end.")] = None,
        key_env: Annotated[str | None, typer.Option(help="Environment variable that holds the feed's key.", metavar="NAME")] = None,
        key_header: Annotated[str | None, typer.Option(help="Send the key as this header.", metavar="NAME")] = None,
        key_parameter: Annotated[str | None, typer.Option(help="Send the key as this query parameter.", metavar="NAME")] = None,
        user_agent: Annotated[str | None, typer.Option(help="Who asks; many feeds want an address to write to.", metavar="TEXT")] = None,
        allow_private: Annotated[bool, typer.Option("--allow-private", help="Follow redirects to private addresses too.")] = False,
        map_: Annotated[Path | None, typer.Option("--map", help="Mapping for csv and ndjson.", metavar="FILE")] = None,
        timezone: Annotated[str | None, typer.Option(help="Zone of times that carry none.", metavar="ZONE")] = None,
        set_: Annotated[list[str] | None, typer.Option("--set", help="A further setting of the source.", metavar="NAME=VALUE")] = None,
        json_: Annotated[bool, typer.Option("--json", help="At the end print what was sent as JSON.")] = False,
    ) -> None:  # fmt: skip
        """Ask a live feed again and again, politely; send to Kafka what has changed since the last answer."""
        found = settings(context)
        from watling.cli.sending import end, send_and_report
        from watling.cli.signals import stop_on_signals
        from watling.devices.poll import Key, Poll, parse_every
        from watling.devices.request import USER_AGENT, check_url
        from watling.devices.sources import Faults, Options, adapter

        adapter(source)
        check_url(url)

        if times is not None and times < 1:
            raise UsageError("--times must be 1 or more")
        if (key_header or key_parameter) and not key_env:
            raise UsageError("--key-header and --key-parameter need --key-env: keys come from the environment only")
        if key_env and not (key_header or key_parameter):
            raise UsageError("say how the key is sent: --key-header NAME or --key-parameter NAME")
        stop = stop_on_signals()
        faults = Faults()
        feed = Poll(
            source,
            url,
            parse_every(every),
            Options(map_, None, timezone, pairs(set_, "--set")),
            Key(key_env, key_header, key_parameter) if key_env else None,
            user_agent=user_agent or USER_AGENT,
            allow_private=allow_private,
            times=times,
            stop=stop.event,
            faults=faults,
        )
        report = send_and_report(
            found, feed, "poll", speed=math.inf, json=json_, stop=stop.event, faults=faults, more={"polls": feed.polls}
        )
        if not json_:
            from watling.cli import output

            asked = asdict(feed.polls)
            output.say(
                f"{asked['asked']:,} requests: {asked['fresh']:,} with news, {asked['not_modified']:,} unchanged, "
                f"{asked['failed']:,} failed; {asked['unchanged']:,} records left out because they had not changed"
            )
        end(report, stop.by)
