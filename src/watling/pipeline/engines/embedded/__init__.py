"""Receives settings and contracts; runs the pipeline in this process, threads over one committer."""

from watling.pipeline.engines.embedded.engine import run
from watling.pipeline.engines.lifecycle import RunReport

__all__ = ["RunReport", "run"]
