"""Receives the settings; gives the librdkafka properties that every client of Watling uses."""

from __future__ import annotations

import logging
import re

from confluent_kafka.admin import AdminClient

from watling.config import Settings

log = logging.getLogger("watling.kafka")

SECRET = re.compile(r"password|secret|token|\.pem$|oauthbearer\.config|sasl\.jaas", re.I)
HIDDEN = "***"


class ClientConfig(dict[str, str | int | float | bool]):
    """Properties for librdkafka. Printed, logged or in a traceback, its secrets are hidden."""

    def __repr__(self) -> str:
        return repr({name: HIDDEN if SECRET.search(name) else value for name, value in self.items()})

    __str__ = __repr__


def client_config(settings: Settings) -> ClientConfig:
    """Properties common to all clients; those of `kafka.properties` win."""
    kafka = settings.kafka
    config = ClientConfig(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": "watling",
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 2000,
            "socket.keepalive.enable": True,
            "log_level": 3,
        }
    )
    for name, value in (
        ("security.protocol", kafka.security_protocol),
        ("sasl.mechanism", kafka.sasl_mechanism),
        ("sasl.username", kafka.sasl_username),
        ("sasl.password", kafka.sasl_password.get_secret_value() if kafka.sasl_password else None),
        ("ssl.ca.location", str(kafka.ssl_ca_location) if kafka.ssl_ca_location else None),
    ):
        if value is not None:
            config[name] = value
    config.update({name: value.get_secret_value() for name, value in kafka.properties.items()})
    return config


def producer_config(settings: Settings) -> ClientConfig:
    """For producers: idempotent, so that a retry neither doubles nor reorders."""
    config = client_config(settings)
    config.update(
        {
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 20,
            "message.max.bytes": settings.broker.max_record_bytes,
            "queue.buffering.max.kbytes": 65536,
        }
    )
    return config


def admin_config(settings: Settings) -> ClientConfig:
    """For clients that ask and change what there is."""
    config = client_config(settings)
    config["socket.timeout.ms"] = 10_000
    return config


def admin_client(settings: Settings) -> AdminClient:
    """A client for topics and offsets."""
    return AdminClient(admin_config(settings), logger=log)
