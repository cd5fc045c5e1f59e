"""Receives the command line of `python -m watling`; runs it as `watling` does."""

from watling.cli import main

main()
