"""Receives the lake and requests with a filter; gives the page its past: tiles, cells, frames, cards."""
