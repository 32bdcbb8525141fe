"""Measures nacre beside its peers: `python -m benchmarks`. See README.md here."""
