"""Draws a flame graph: stacks with their sample counts become one static SVG."""

from html import escape

WIDTH, ROW, SMALLEST = 1200, 17, 0.4


def draw(stacks, title):
    """`stacks` maps tuples of frame names, root first, to samples."""
    root = {"samples": 0, "children": {}}
    for stack, samples in stacks.items():
        node = root
        node["samples"] += samples
        for frame in stack:
            node = node["children"].setdefault(frame, {"samples": 0, "children": {}})
            node["samples"] += samples
    boxes = []
    place(root, 0.0, WIDTH / root["samples"], 0, boxes)
    height = (max(depth for depth, *_ in boxes) + 1) * ROW + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="monospace" '
        f'font-size="11"><rect width="100%" height="100%" fill="#fff"/><text x="8" y="18">{escape(title)}</text>'
    ]
    for depth, left, width, name, samples in boxes:
        top = height - (depth + 1) * ROW - 4
        share = 100 * samples / root["samples"]
        label = name[: int(width / 6.7)] if width > 20 else ""
        parts.append(
            f'<g><title>{escape(name)}: {samples} samples, {share:.1f} %</title>'
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>'
            f'<text x="{left + 2:.1f}" y="{top + 12}">{escape(label)}</text></g>'
        )
    return "".join(parts) + "</svg>\n"


def place(node, left, scale, depth, boxes):
    for name, child in sorted(node["children"].items()):
        width = child["samples"] * scale
        if width >= SMALLEST:
            boxes.append((depth, left, width, name, child["samples"]))
            place(child, left, scale, depth + 1, boxes)
        left += width


def colour(name):
    """Warm colours by name, so that a function looks the same in every graph."""
    mixed = sum(ord(letter) * (at + 7) for at, letter in enumerate(name))
    return f"rgb({205 + mixed % 50},{80 + mixed // 50 % 130},{mixed // 6500 % 55})"
