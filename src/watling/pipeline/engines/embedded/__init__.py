"""Receives settings and contracts; runs the pipeline in this process, threads over one committer."""

from watling.pipeline.engines.embedded.engine import RunReport, run

__all__ = ["RunReport", "run"]
