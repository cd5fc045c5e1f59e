"""Receives a stream's state and what the broker says of its topic; gives where reading begins, and what was lost.

Offsets belong to a topic id, not to a name. A topic made anew, or one that ends below the table's next offset, is
another topic: it needs a new generation, which only the user may begin.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from watling.contracts.model import Contract
from watling.errors import WatlingError
from watling.lake.state import Generation, PartitionState, StreamState, merge_ranges

Watermarks = Mapping[int, tuple[int, int]]

log = logging.getLogger(__name__)


class TopicChanged(WatlingError):
    """The topic is not the one whose offsets the table holds: it was deleted and made again, or cut short."""

    def __init__(self, stream: str, topic: str, why: str) -> None:
        super().__init__(
            f"stream {stream}: {why} Offsets of topic {topic} in the table no longer fit it, so the stream stops; what was "
            f"committed stays. If the new topic is meant, start with `watling run --accept-new-topic`: it begins a new "
            "generation, and records of the old one that were never read count as lost.",
            stream=stream,
            topic=topic,
        )


def settle_generation(
    contract: Contract, state: StreamState, topic_id: str, marks: Watermarks, accept_new_topic: bool
) -> StreamState:
    """The state with a generation for the topic as it is now and an entry for each of its partitions.

    `marks` are {partition: (low, high)}. The first generation of a stream begins at the lowest offsets there are; a
    partition added later begins at 0.

    Raises:
        TopicChanged: the topic is not the one of the state, and `accept_new_topic` is not given.
    """
    if not state.generations:
        return _begin(contract, state, 0, topic_id, marks)
    number = state.generation
    current = state.generations[number]
    why = _changed(current, topic_id, marks)
    if why is None:
        added = {p: PartitionState(0, 0) for p in marks if p not in current.partitions}
        if not added:
            return state
        grown = replace(current, partitions={**current.partitions, **added})
        return replace(state, generations={**state.generations, number: grown})
    if not accept_new_topic:
        raise TopicChanged(contract.name, contract.topic, why)
    closed = replace(current, partitions={p: _owed_is_lost(s) for p, s in current.partitions.items()})
    state = replace(state, generations={**state.generations, number: closed})
    return _begin(contract, state, number + 1, topic_id, marks)


def _begin(contract: Contract, state: StreamState, number: int, topic_id: str, marks: Watermarks) -> StreamState:
    partitions = {p: PartitionState(low, low, end=high) for p, (low, high) in marks.items()}
    generation = Generation(contract.topic, topic_id, partitions)
    return replace(state, generations={**state.generations, number: generation})


def _changed(current: Generation, topic_id: str, marks: Watermarks) -> str | None:
    if current.topic_id != topic_id:
        return f"topic {current.topic} was deleted and made again (its id was {current.topic_id}, now {topic_id})."
    for partition, state in current.partitions.items():
        if partition not in marks:
            return f"topic {current.topic} no longer has partition {partition}."
        high = marks[partition][1]
        if high < state.next:
            return (
                f"partition {partition} ends at offset {high}, the table already holds everything below {state.next}."
            )
    return None


def _owed_is_lost(state: PartitionState) -> PartitionState:
    """What the writer knew to be there and never read is gone with the old topic."""
    if state.end <= state.next:
        return state
    return replace(
        state,
        next=state.end,
        lost=state.lost + state.end - state.next,
        lost_ranges=merge_ranges((*state.lost_ranges, (state.next, state.end))),
    )


def tell_loss(contract: Contract, partition: int, start: int, end: int) -> None:
    """Log, as loudly as there is, that retention deleted these offsets before they were read."""
    log.error(
        "stream %s: LOST %d records: topic %s partition %d, offsets %d to %d were deleted by retention before they "
        "were read. `watling audit` fails until `watling audit --accept-loss %s --reason TEXT` records it.",
        contract.name,
        end - start,
        contract.topic,
        partition,
        start,
        end - 1,
        contract.name,
    )
