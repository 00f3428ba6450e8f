"""Draws the output of `perf script` as a flame graph (SVG): python3 flamegraph.py TITLE < script > graph.svg"""

import html
import re
import sys
from dataclasses import dataclass, field

WIDTH, ROW, LEAST = 1600, 17, 0.4  # pixels; frames narrower than LEAST are left out


@dataclass
class Frame:
    samples: int = 0
    below: dict = field(default_factory=dict)


def stacks(lines):
    """Yields each sample's functions, the outermost first."""
    stack = []
    for line in lines:
        if not line.strip():
            if stack:
                yield stack[::-1]
            stack = []
        elif line[0] in " \t":
            # Address, function with its offset, and the file in parentheses.
            found = re.match(r"\s*[0-9a-f]+ (.*?)(?:\+0x[0-9a-f]+)? \(.*\)$", line.rstrip())
            if found:
                stack.append(re.sub(r"::h[0-9a-f]{16}$", "", found.group(1)))
    if stack:
        yield stack[::-1]


def tree(samples):
    root = Frame()
    for stack in samples:
        frame = root
        frame.samples += 1
        for function in stack:
            frame = frame.below.setdefault(function, Frame())
            frame.samples += 1
    return root


def depth(frame):
    return 1 + max((depth(below) for below in frame.below.values()), default=0)


def boxes(frame, name, left, level, scale, bottom):
    """Yields the boxes of a frame and of those that it called, above it."""
    width = frame.samples * scale
    if width < LEAST:
        return
    share = 100 * scale * frame.samples / WIDTH
    text = html.escape(name)
    shown = html.escape(name[: max(0, int(width / 7))])
    hue = 20 + sum(name.encode()) % 35
    top = bottom - level * ROW
    yield (
        f'<g><title>{text} ({share:.2f} %)</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" '
        f'fill="hsl({hue},85%,65%)"/><text x="{left + 2:.1f}" y="{top + 12}">{shown}</text></g>'
    )
    for function, below in sorted(frame.below.items()):
        yield from boxes(below, function, left, level + 1, scale, bottom)
        left += below.samples * scale


def draw(root, title):
    height = (depth(root) + 2) * ROW
    body = "\n".join(boxes(root, f"{title}: {root.samples} samples", 0, 1, WIDTH / max(root.samples, 1), height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="monospace" font-size="11">\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    sys.stdout.write(draw(tree(stacks(sys.stdin)), sys.argv[1]))
