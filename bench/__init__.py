"""Measures the real service over HTTP, on this machine alone. `python -m bench --help`; `bench/README.md` explains."""
