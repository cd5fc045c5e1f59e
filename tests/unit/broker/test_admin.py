"""What the process keeps of its clients for questions about topics."""

from __future__ import annotations

import pytest

from tests.conftest import free_port
from watling.broker import admin
from watling.broker.errors import BrokerUnreachable
from watling.config import load_settings


def test_a_client_that_got_no_answer_is_not_asked_again() -> None:
    """librdkafka's may go on waiting for a controller after its broker is back: Kafka was up, and Watling said it was not."""
    settings = load_settings(kafka={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    client, asker = admin._client(settings), admin._asker(settings)
    assert (admin._client(settings), admin._asker(settings)) == (client, asker), "kept while it answers"
    with pytest.raises(BrokerUnreachable):
        admin.ping(settings, 0.1)
    assert admin._client(settings) is not client
    assert admin._asker(settings) is not asker
