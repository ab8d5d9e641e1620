"""A chart of compare.py's results: one panel a case, one bar a set-up, as an SVG file that needs nothing to be looked at."""
from xml.sax.saxutils import escape

WIDTH, LABELS, BAR, GAP, TITLE, PANEL_GAP = 860, 210, 18, 6, 30, 22
COLOURS = {"no plugin": "#b8bec6", "password_file + acl_file": "#d98b5f", "dynamic-security": "#c9b458"}
OURS = "#2f7f79"
PANELS = [
    ("publish_qos_0", "broker µs", "Processor time of the broker's thread for a publish, µs (QoS 0, 20 templates and private rules)"),
    ("fan_out", "broker µs", "… for a delivery, one publisher to 100 subscribers, µs"),
    ("subscribe", "broker µs", "… for a subscription, µs"),
    ("password_again", "broker µs", "… for a log-in with a password, again, µs"),
    ("change", "ms, changing", "Longest pause of the broker's loop while the policy changes, ms"),
    ("held", "MiB connected", "Memory with all clients connected, MiB"),
]


def bar(y, label, value, most):
    length = max(1.0, value / most * (WIDTH - LABELS - 90))
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    colour = COLOURS.get(label, OURS)
    return (f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
            f'<text x="{LABELS + length + 6:.1f}" y="{y + 13}">{shown}</text>')


def draw(results):
    """The SVG's text."""
    parts, y = [], 14
    for case, column, title in PANELS:
        rows = {label: row[column] for label, row in results[case].items() if row}
        parts.append(f'<text x="8" y="{y + 12}" font-weight="bold">{escape(title)}</text>')
        y += TITLE
        for label, value in rows.items():
            parts.append(bar(y, label, value, max(rows.values())))
            y += BAR + GAP
        y += PANEL_GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
            f'font-family="system-ui, sans-serif" font-size="13"><rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
            + "\n".join(parts) + "</svg>\n")
