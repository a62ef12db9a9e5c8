"""Pages that would take a scan for tags quadratic time if it read anything twice."""

HOSTILE = [
    "<div " * 400_000,
    "<a b='" * 400_000,
    "<a b=\"'" * 300_000,
    "<!-" * 500_000,
    "<!--" * 500_000,
    "<script>" * 250_000,
    "<svg>" * 240_000,
    "</script" * 240_000,
    "<svg>" + "</svg" * 240_000,
    "</b>" * 240_000,
    "<b>" * 200_000 + "</i>" * 40_000,
    "&" * 2_000_000,
    "&#" + "9" * 2_000_000,
    "<title>" * 200_000,
    "<p a=" * 400_000,
    "= " * 1_000_000,
]
