"""Benchmarks: `make bench`, `make bench-real`, or `python -m tests.bench SECTION`; the sections are in report.py.

What they need is simulated, installed under `.bench/`, or for `real` fetched by make; the tables are printed and kept
in `.bench/results.md`.
"""
