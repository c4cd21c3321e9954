"""Sections of results, and their forms: a table in the terminal, Markdown, JSON, a bar chart."""

import json
from html import escape

COLOURS = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2"]


class Section:
    """One scenario's results."""

    def __init__(self, name, title, columns):
        self.name = name
        self.title = title
        self.columns = columns
        self.rows = []
        self.bars = []
        self.records = []
        self.checks = []
        self.notes = []
        self.failures = []

    def row(self, *values):
        self.rows.append([cell(value) for value in values])

    def bar(self, group, label, value):
        self.bars.append((group, label, value))

    def data(self, **record):
        self.records.append(record)

    def check(self, what, value, limit):
        """Records whether `value` is at most `limit`."""
        self.checks.append({"what": what, "value": value, "limit": limit, "met": value <= limit})

    def note(self, text):
        self.notes.append(text)

    def fail(self, failure):
        """Records that one case could not be measured; the others stand."""
        self.failures.append(f"{self.name}: {failure}")
        self.note(f"FAILED: {failure}")

    def skip(self, reason):
        self.note(f"Not measured: {reason}.")
        return self

    def markdown(self):
        lines = [f"## {self.name}: {self.title}", ""]
        if self.rows:
            lines += table(self.columns, self.rows) + [""]
        for note in self.notes:
            lines += [note, ""]
        return "\n".join(lines)


def cell(value):
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return " – ".join(cell(part) for part in value)
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def table(columns, rows):
    """A Markdown table whose columns line up in the terminal too."""
    widths = [max(len(line[at]) for line in [columns, *rows]) for at in range(len(columns))]

    def line(cells):
        return "| " + " | ".join(text.ljust(width) for text, width in zip(cells, widths)) + " |"

    return [line(columns), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]


def checks_table(sections):
    rows = [
        [check["what"], cell(float(check["value"])), cell(float(check["limit"])), "met" if check["met"] else "MISSED"]
        for section in sections for check in section.checks
    ]
    return table(["budget", "measured", "at most", ""], rows) if rows else ["(no budget was measured)"]


def markdown(machine, sections):
    lines = ["# Measured on this machine", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    lines += ["", "How to read this: `bench/README.md`. Only ratios within one run mean anything.", ""]
    lines += ["## Budgets", "", *checks_table(sections), ""]
    return "\n".join(lines) + "\n" + "\n".join(section.markdown() for section in sections)


def as_json(machine, sections):
    content = {
        "machine": machine,
        "sections": [
            {"name": section.name, "title": section.title, "results": section.records, "checks": section.checks,
             "notes": section.notes}
            for section in sections
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def svg(sections):
    """A bar chart: one block per group, bars to the block's own scale, values beside them."""
    width, left, right, step = 760, 190, 90, 22
    parts, at, colours = [], 20, {}
    for section in sections:
        groups = {}
        for group, label, value in section.bars:
            groups.setdefault(group, []).append((label, value))
        for group, bars in groups.items():
            parts.append(f'<text x="10" y="{at}" font-weight="bold">{escape(section.name)}: {escape(group)}</text>')
            at += 8
            largest = max(value for _, value in bars) or 1
            for label, value in bars:
                colour = colours.setdefault(label, COLOURS[len(colours) % len(COLOURS)])
                length = max(1, (width - left - right) * value / largest)
                parts.append(f'<text x="{left - 8}" y="{at + 14}" text-anchor="end">{escape(label)}</text>')
                parts.append(f'<rect x="{left}" y="{at}" width="{length:.1f}" height="17" fill="{colour}"/>')
                parts.append(f'<text x="{left + length + 6:.1f}" y="{at + 14}">{cell(float(value))}</text>')
                at += step
            at += 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{at}" '
        f'font-family="sans-serif" font-size="13" fill="#222"><rect width="100%" height="100%" fill="white"/>'
        + "".join(parts) + "</svg>\n"
    )
