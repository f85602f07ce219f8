#!/usr/bin/env python3
"""Runs commands and draws what a terminal shows of them, as an SVG.

    scripts/terminal_picture.py PICTURE.svg COMMAND [COMMAND...]

Each command is run by the shell in the current folder, its output and messages as they come. The picture in README.md, with the
program on the PATH, and with datasets and two models in the folder: SmolLM2-135M-Instruct in bfloat16, and the same without its layers
12 to 19, as a passthrough merge makes it:

    for model in parent pruned; do
      assay eval --model $model --datasets datasets --tasks arc_challenge,hellaswag,truthfulqa_mc,winogrande --num-fewshot 0 \\
        --limit arc_challenge=60,hellaswag=150,truthfulqa_mc=150,winogrande=100 --output results/$model
    done
    scripts/terminal_picture.py docs/compare.svg 'assay compare results/pruned results/parent'
"""

import subprocess
import sys
import textwrap
from xml.sax.saxutils import escape

COLUMNS = 140
CHARACTER = 8.43
LINE = 19
MARGIN = 18
BAR = 34


def picture(lines):
    """The SVG of the lines, of which commands begin with `$ `."""
    columns = max(len(line) for line in lines)
    width = round(columns * CHARACTER + 2 * MARGIN)
    height = BAR + len(lines) * LINE + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
    ]
    for place, colour in enumerate(["#ff5f57", "#febc2e", "#28c840"]):
        parts.append(f'<circle cx="{MARGIN + 4 + 20 * place}" cy="17" r="6" fill="{colour}"/>')
    parts.append('<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" fill="#c9d1d9">')
    for place, line in enumerate(lines):
        y = BAR + place * LINE + 14
        fill = ' fill="#7ee787"' if line.startswith("$ ") else ""
        # The length holds columns in line, whatever font the reader has.
        length = f' textLength="{len(line) * CHARACTER:.1f}" lengthAdjust="spacingAndGlyphs"' if line.strip() else ""
        parts.append(f'<text x="{MARGIN}" y="{y}" xml:space="preserve"{fill}{length}>{escape(line)}</text>')
    parts.append("</g>\n</svg>")
    return "\n".join(parts) + "\n"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, commands = sys.argv[1], sys.argv[2:]
    lines = []
    for command in commands:
        done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode not in (0, 1):
            sys.exit(f"`{command}` exited with {done.returncode}:\n{done.stdout}")
        lines.append(f"$ {command}")
        for line in done.stdout.rstrip("\n").expandtabs().split("\n"):
            # As a terminal shows longer lines, but between words.
            lines += [line] if len(line) <= COLUMNS else textwrap.wrap(line, COLUMNS)
        lines.append("")
    with open(path, "w", encoding="utf-8") as file:
        file.write(picture(lines[:-1]))


if __name__ == "__main__":
    main()
