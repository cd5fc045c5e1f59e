"""Receives settings and contracts; runs the same steps on Spark Structured Streaming, one committer in the driver."""
