"""`watling config show`: what is in force, where it comes from, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Watling

SECRETS = {
    "WATLING_KAFKA__SASL_PASSWORD": "hunter2-password",
    "WATLING_KAFKA__PROPERTIES": '{"ssl.key.password": "hunter2-key", "sasl.oauthbearer.client.secret": "hunter2-oauth"}',
    "WATLING_LAKE__CATALOG": json.dumps(
        {
            "type": "rest",
            "uri": "https://anna:hunter2-uri@lake.example/api",
            "token": "hunter2-token",
            "credential": "id:hunter2-credential",
            "s3.secret-access-key": "hunter2-s3",
            "s3.access-key-id": "AKIA",
        }
    ),
}


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_secret_is_shown(watling: Watling, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]) -> None:
    """People paste this output into issues and chats."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    done = watling("config", "show", *form)
    assert done.exit_code == 0, done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "lake.example" in done.stdout, "what is no secret is shown"
    assert "••••" in done.stdout


def test_a_secret_in_a_malformed_setting_is_not_shown(watling: Watling, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message about a mistake must not print the password that was mistyped."""
    monkeypatch.setenv("WATLING_KAFKA__SASL_PASSWORD", "hunter2-password")
    monkeypatch.setenv("WATLING_KAFKA__SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("WATLING_BROKER__PORT", "0")
    done = watling("config", "show")
    assert done.exit_code == 2
    assert "hunter2" not in done.stderr


def test_each_setting_says_where_it_comes_from(watling: Watling, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a value surprises, the question is who set it."""
    Path("watling.toml").write_text("[page]\nport = 8700\n")
    monkeypatch.setenv("WATLING_BROKER__PORT", "9192")
    done = watling("--home", "there", "config", "show")
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "flag" in lines["home"]
    assert "environment" in lines["broker.port"]
    assert "9192" in lines["broker.port"]
    assert "watling.toml" in lines["page.port"]
    assert "8700" in lines["page.port"]
    assert "default" in lines["broker.host"]
    assert "WATLING_BROKER__HOST" in lines["broker.host"]


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    watling: Watling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a forgotten file decides where data is written."""
    Path("watling.toml").write_text('home = "from-file"\n')
    shown = json.loads(watling("config", "show", "--json").stdout)
    assert shown["home"] == "from-file"
    monkeypatch.setenv("WATLING_HOME", "from-environment")
    assert json.loads(watling("config", "show", "--json").stdout)["home"] == "from-environment"
    assert json.loads(watling("--home", "from-flag", "config", "show", "--json").stdout)["home"] == "from-flag"
