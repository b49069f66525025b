"""Run `keeper demo` and draw what it printed as docs/images/demo.svg.

Usage: python scripts/demo_picture.py [--seed N] [--from FILE]

`--from` draws a saved output instead of running the demo. To fit one screen, the picture shows the first and the
third step of the fall only, which it says by "[…]"; the rest is as printed.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import NIGHT_OWLISH
from rich.text import Text

SHOWN_STEPS = (0, 2)
TARGET = Path(__file__).resolve().parents[1] / "docs" / "images" / "demo.svg"
STEP_LINE = re.compile(r"^-\d+ %.*$", re.MULTILINE)
BOUNDARY = re.compile(r"\n\n(?=-\d+ %)")
FONT_FACE = re.compile(r"\s*@font-face \{.*?\n    \}", re.DOTALL)


def run_demo(seed: int) -> str:
    """Return what the demo prints."""
    command = [str(Path(sys.executable).parent / "keeper"), "demo", "--seed", str(seed)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def cut(output: str) -> str:
    """Keep the opening, some steps of the fall, and everything after the last step."""
    opening, *steps = BOUNDARY.split(output.strip("\n"))
    if not steps:
        raise SystemExit("demo_picture: the output has no step of a fall in it")
    steps[-1], closing = split_closing(steps[-1])
    shown = [opening]
    for index, step in enumerate(steps):
        if index in SHOWN_STEPS:
            shown.append(step)
        elif index - 1 in SHOWN_STEPS:
            shown.append("[…]")
    return "\n\n".join([*shown, closing])


def split_closing(part: str) -> tuple[str, str]:
    """Split the last step from the summary that follows it after an empty line."""
    step, _, closing = part.partition("\n\n")
    return step, closing


def draw(output: str) -> str:
    """Return the SVG of a terminal that shows `output`; it loads nothing from elsewhere."""
    text = Text("$ make demo\n" + output)
    text.highlight_regex(STEP_LINE, "bold")
    text.highlight_regex(r"^\$ make demo", "bold green")
    console = Console(
        record=True, width=max(map(len, text.plain.splitlines())), file=io.StringIO(), force_terminal=True
    )
    console.print(text, soft_wrap=True)
    picture = console.export_svg(title="make demo", theme=NIGHT_OWLISH, unique_id="demo")
    picture = re.sub(r"\s*<!-- .*? -->", "", picture)
    return FONT_FACE.sub("", picture).replace("Fira Code,", "Fira Code, DejaVu Sans Mono, Menlo, Consolas,")


def main() -> int:
    """Write the picture."""
    parser = argparse.ArgumentParser(description="Draw the demo's output.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="saved", type=Path)
    options = parser.parse_args()
    output = options.saved.read_text(encoding="utf-8") if options.saved else run_demo(options.seed)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(draw(cut(output)), encoding="utf-8")
    print(f"wrote {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
