"""The README's examples, to be run word for word."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def example(after: str, number: int = 1) -> str:
    """Return an indented block of code: the first one, or a later one, that follows a text."""
    rest = README.read_text("utf-8").split(after, 1)[1]
    blocks = re.findall(r"(?:^    .+\n)+", rest, re.MULTILINE)
    return re.sub(r"^    ", "", blocks[number - 1], flags=re.MULTILINE)
