"""Receives the settings; gives followers of a topic the offsets that the lake goes on from, without making a lake."""

from __future__ import annotations

import logging
import threading

from pyiceberg.catalog import Catalog

from watling.config import Settings
from watling.contracts.model import Contract
from watling.lake.catalog import lake_dir, open_catalog, uses_local_lake
from watling.lake.state import read_state
from watling.lake.tables import load_table

log = logging.getLogger(__name__)


class LakeOffsets:
    """Opens the catalog when it is first asked. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._catalog: Catalog | None = None
        self._lock = threading.Lock()

    def following(self, contract: Contract) -> dict[int, int]:
        """{partition: next offset} of the stream's current generation; empty while the lake has none of it.

        A lake that does not answer counts as empty here, with a warning: who shows the newest can do without.
        """
        try:
            with self._lock:
                if self._catalog is None:
                    if uses_local_lake(self._settings) and not (lake_dir(self._settings) / "catalog.db").is_file():
                        return {}
                    self._catalog = open_catalog(self._settings)
                table = load_table(self._catalog, self._settings, contract.name)
            if table is None:
                return {}
            state = read_state(table)
            generation = state.generations.get(state.generation)
            if generation is None or generation.topic != contract.topic:
                return {}
            return {partition: known.next for partition, known in generation.partitions.items()}
        except Exception as error:
            log.warning("the lake did not tell where stream %s goes on: %s", contract.name, error)
            return {}
