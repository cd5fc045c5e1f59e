"""The city of the pipeline's integration tests, for long runs."""

from tests.integration.pipeline.conftest import city, make_city

__all__ = ["city", "make_city"]
