"""Receives flags, environment, `watling.toml` and defaults; gives one frozen settings object to every room.

Order: flag over environment (`WATLING_` and two underscores between levels) over file over default.
All problems are reported at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from watling.errors import ConfigError

MIB = 1024 * 1024


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BrokerConfig(Section):
    """The embedded Kafka. Nothing of it is used when `kafka.bootstrap_servers` is set."""

    host: str = "127.0.0.1"
    port: int = Field(9092, ge=1, le=65535)
    coordination: Literal["kraft", "zookeeper"] = "kraft"  # zookeeper: Kafka 3.9, the last line with it
    heap_mb: int = Field(256, ge=128, le=65536)
    partitions: int = Field(4, ge=1, le=1024)
    retention_hours: int = Field(168, ge=1)
    max_record_bytes: int = Field(16 * MIB, ge=1024)
    start_timeout_s: float = Field(60, gt=0)


class KafkaConfig(Section):
    """How clients reach Kafka. `properties` passes librdkafka settings (TLS, SASL) through."""

    bootstrap_servers: str | None = None
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] | None = None
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: Path | None = None
    properties: dict[str, SecretStr] = Field(default_factory=dict)  # any of them may be a password


class PipelineConfig(Section):
    """The embedded engine. Bytes bound the memory, records bound the batch."""

    commit_interval_s: float = Field(1.0, gt=0, le=3600)
    batch_records: int = Field(200_000, ge=1)
    batch_bytes: int = Field(10 * MIB, ge=1 * MIB)
    fetch_records: int = Field(10_000, ge=1)
    threads: int = Field(2, ge=1, le=64)
    dedup_memory_bytes: int = Field(32 * MIB, ge=1 * MIB)
    many_days: int = Field(16, ge=1)  # a batch with more event days than this stretches the interval
    many_days_interval_s: float = Field(30.0, gt=0)


class SparkConfig(Section):
    """The engine spark: its session, what one batch may hold, where checkpoints are. `properties` are Spark's own."""

    master: str = "local[*]"
    driver_memory: str = "1g"
    ui: bool = False
    python: str | None = None  # the interpreter of the executors
    archives: str | None = None  # an archive of their environment, as `spark.archives` has it
    checkpoints: str | None = (
        None  # a folder or URI that driver and executors reach; default spark/checkpoints in the home
    )
    max_offsets_per_trigger: int = Field(500_000, ge=1)
    min_offsets_per_trigger: int | None = Field(None, ge=1)  # a batch waits for so many, at most max_trigger_delay_s
    max_trigger_delay_s: float = Field(60, gt=0)
    kafka: dict[str, SecretStr] = Field(default_factory=dict)  # properties of Kafka's Java client
    properties: dict[str, str] = Field(default_factory=dict)


class LakeConfig(Section):
    """Where tables live. `catalog` holds PyIceberg catalog properties; empty means SQLite and a folder."""

    catalog: dict[str, str] = Field(default_factory=dict, repr=False)  # may hold keys
    catalog_name: str = "watling"
    namespace: str = "watling"
    warehouse: str | None = None
    maintain_every_s: float = Field(60, gt=0)
    target_file_bytes: int = Field(32 * MIB, ge=1 * MIB)
    snapshot_age_hours: float = Field(24, ge=0)
    snapshots_kept: int = Field(50, ge=1)
    orphan_age_hours: float = Field(24, gt=0)
    object_age_days: float | None = None  # pictures older than this are removed; None keeps them


class QueryConfig(Section):
    """Limits of `watling sql` and of the page's queries."""

    timeout_s: float = Field(30, gt=0)
    max_rows: int = Field(1_000_000, ge=1)
    memory_mb: int = Field(1024, ge=64)
    threads: int = Field(2, ge=1)


class PageConfig(Section):
    host: str = "127.0.0.1"
    port: int = Field(8600, ge=1, le=65535)
    query_timeout_s: float = Field(20, gt=0)  # of one answer about the past
    tiles: Path | None = None  # a YAML file of tiles; default tiles.yaml in the home if it is there


class Settings(BaseSettings):
    """Everything a command needs to know. `home` holds all that the local profile writes."""

    model_config = SettingsConfigDict(
        env_prefix="WATLING_", env_nested_delimiter="__", frozen=True, extra="forbid", toml_file="watling.toml"
    )

    home: Path = Path(".watling")
    contracts: Path | None = None  # a folder of the user's contracts; default ./contracts if it is there
    broker: BrokerConfig = BrokerConfig()
    kafka: KafkaConfig = KafkaConfig()
    pipeline: PipelineConfig = PipelineConfig()
    spark: SparkConfig = SparkConfig()
    lake: LakeConfig = LakeConfig()
    query: QueryConfig = QueryConfig()
    page: PageConfig = PageConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def embedded_broker(self) -> bool:
        """True when Watling runs its own Kafka: no external address is set."""
        return self.kafka.bootstrap_servers is None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port[,host:port]` of the Kafka in use, embedded or external."""
        return self.kafka.bootstrap_servers or f"{self.broker.host}:{self.broker.port}"

    @property
    def contracts_dir(self) -> Path | None:
        """The user's contract folder, if one is named or stands in the working directory."""
        if self.contracts is not None:
            return self.contracts
        default = Path("contracts")
        return default if default.is_dir() else None


def load_settings(**flags: Any) -> Settings:
    """Read the settings once. `flags` are the values given on the command line, nested dicts for sections.

    Raises:
        ConfigError: with every problem found, each naming its setting.
    """
    try:
        return Settings(**flags)
    except ValidationError as error:
        problems = [f"{'.'.join(str(p) for p in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors()]
        raise ConfigError(problems) from None
    except (OSError, ValueError) as error:  # unreadable or malformed watling.toml
        raise ConfigError([f"watling.toml: {error}"]) from None
