"""Run benchmarks; see the package."""

import argparse
from importlib import import_module
from pathlib import Path

from .peers import PINS
from .report import BENCH, SECTIONS, machine, publish

MODULES = {"profile": "parts"}  # `profile` would be a module of the standard library


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("section", choices=[*SECTIONS, "all"])
    parser.add_argument("--rounds", type=int, default=3, help="how often engines take turns (%(default)s)")
    parser.add_argument("--without", action="append", default=[], choices=PINS, help="leave out a peer")
    parser.add_argument(
        "--python", action="append", default=[], metavar="PEER=PATH", help="use a peer that is installed already"
    )
    args = parser.parse_args()
    pythons = {peer: Path(path) for peer, _, path in (entry.partition("=") for entry in args.python)}
    if unknown := set(pythons) - set(PINS):
        parser.error(f"--python: {', '.join(unknown)} is none of {', '.join(PINS)}")
    for section in SECTIONS if args.section == "all" else [args.section]:
        where = machine()
        module = import_module(f".{MODULES.get(section, section)}", __package__)
        publish(section, where, module.run(rounds=args.rounds, without=set(args.without), pythons=pythons))
    print(f"All tables: {BENCH / 'results.md'}")


if __name__ == "__main__":
    main()
