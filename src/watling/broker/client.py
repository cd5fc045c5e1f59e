"""Receives the settings; gives the librdkafka properties that every client of Watling uses."""

from __future__ import annotations

import logging

from confluent_kafka.admin import AdminClient

from watling.config import Settings

log = logging.getLogger("watling.kafka")

ClientConfig = dict[str, str | int | float | bool]


def client_config(settings: Settings) -> ClientConfig:
    """Properties common to all clients. May hold a password: never log it."""
    kafka = settings.kafka
    config: ClientConfig = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "watling",
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 2000,
        "socket.keepalive.enable": True,
        "log_level": 3,
    }
    for name, value in (
        ("security.protocol", kafka.security_protocol),
        ("sasl.mechanism", kafka.sasl_mechanism),
        ("sasl.username", kafka.sasl_username),
        ("sasl.password", kafka.sasl_password.get_secret_value() if kafka.sasl_password else None),
        ("ssl.ca.location", str(kafka.ssl_ca_location) if kafka.ssl_ca_location else None),
    ):
        if value is not None:
            config[name] = value
    return {**config, **kafka.properties}


def producer_config(settings: Settings) -> ClientConfig:
    """For producers: idempotent, so that a retry neither doubles nor reorders."""
    return {
        **client_config(settings),
        "enable.idempotence": True,
        "compression.type": "lz4",
        "linger.ms": 20,
        "message.max.bytes": settings.broker.max_record_bytes,
        "queue.buffering.max.kbytes": 65536,
    }


def admin_client(settings: Settings) -> AdminClient:
    """A client for topics and offsets."""
    return AdminClient({**client_config(settings), "socket.timeout.ms": 10_000}, logger=log)
