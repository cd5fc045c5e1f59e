"""What clients are told: the way to the cluster, and secrets that stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Producer

from watling.broker.client import client_config, producer_config
from watling.config import load_settings


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No watling.toml of the working directory."""
    monkeypatch.chdir(tmp_path)


def test_security_and_properties_reach_the_clients() -> None:
    """Whoever has a cluster with TLS and SASL sets it once."""
    settings = load_settings(
        kafka={
            "bootstrap_servers": "broker-1:9094,broker-2:9094",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": "watling",
            "sasl_password": "hunter2",
            "ssl_ca_location": "/etc/ca.pem",
            "properties": {"client.id": "city", "ssl.key.password": "hunter3"},
        }
    )
    config = client_config(settings)
    assert config["bootstrap.servers"] == "broker-1:9094,broker-2:9094"
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-512"
    assert config["sasl.username"] == "watling"
    assert config["sasl.password"] == "hunter2"
    assert config["ssl.ca.location"] == "/etc/ca.pem"
    assert config["client.id"] == "city"
    for shown in (repr(config), str(config), f"{config}", repr(producer_config(settings))):
        assert "hunter" not in shown
        assert "broker-1:9094" in shown


def test_the_embedded_broker_needs_no_setting() -> None:
    """The port alone moves the address."""
    config = client_config(load_settings(broker={"port": 19092}))
    assert config["bootstrap.servers"] == "127.0.0.1:19092"
    assert "security.protocol" not in config


def test_producers_are_idempotent_and_send_large_pictures() -> None:
    """A retry must not double a record; a camera's picture must fit."""
    config = producer_config(load_settings(broker={"port": 19092}))
    assert config["enable.idempotence"] is True
    assert config["message.max.bytes"] == 16 * 1024 * 1024
    Producer(config)  # librdkafka knows every name
