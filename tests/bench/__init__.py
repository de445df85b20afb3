"""Benchmarks: `make bench`, or `python -m tests.bench kernel|interpolation|profile|scaling|session|dryrun|gpu|all`.

Everything they need is simulated or installed under `.bench/`; the tables are printed and kept in `.bench/results.md`.
"""
