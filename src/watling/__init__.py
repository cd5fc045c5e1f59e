"""Watling: real-time city data from the device to the report."""

__version__ = "0.1.0"
