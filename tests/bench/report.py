"""Tables of results: padded Markdown, which reads well in a terminal too, and the machine they come from."""

import os
import platform
import subprocess
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / ".bench"
SECTIONS = ("kernel", "interpolation", "profile", "scaling", "session", "dryrun", "gpu", "real")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence], note: str = "") -> str:
    """Return a padded Markdown table; floats are shown with three significant digits."""
    cells = [list(columns), *([_show(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    return "\n".join([f"### {title}", "", *([note, ""] if note else []), *lines, ""])


def _show(cell) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:#.3g}".rstrip(".")


def machine() -> str:
    """Describe where and with what a table was measured."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "snakemake"))
    git = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip() or "unknown (no git)"
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')}; {model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB; "
        f"Python {platform.python_version()}, {packages}; commit {commit}; "
        f"load before the run {os.getloadavg()[0]:.1f} (above 0.3, other work disturbed it: trust the ratios only)"
    )


def publish(section: str, where: str, tables: Sequence[str]) -> None:
    """Print a section's tables and put them into results.md in place of its older ones."""
    text = "\n".join([f"## {section}", "", where, "", *tables])
    print(text, flush=True)
    folder = BENCH / "results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{section}.md").write_text(text, encoding="utf-8")
    parts = [folder / f"{name}.md" for name in SECTIONS]
    kept = [part.read_text(encoding="utf-8") for part in parts if part.exists()]
    (BENCH / "results.md").write_text("\n".join(["# Benchmarks", "", *kept]), encoding="utf-8")
