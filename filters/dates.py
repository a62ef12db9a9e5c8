"""Normalises record dates to `YYYY-MM-DDTHH:MM:SSZ` from the variants found in archives.

WARC/1.0 requires W3C-DTF to the second, WARC/1.1 allows fractions and fewer parts, ARC has 14 digits (early files
12 or 8), and ClueWeb09 writes the day of the year in place of the day of the month (`2009-03-67T15:35:34-0700`).
Missing parts become the earliest moment; fractions are dropped; offsets are converted to UTC. Seconds or milliseconds
since 1970, as tables of other programs have them, are ten or thirteen digits that would be of a year before 1990.
"""

import re
from datetime import datetime, timedelta

_ISO = re.compile(
    r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,3})(?:[Tt ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,12})?)?"
    r" ?([Zz]|UTC|GMT|[+-]\d{2}:?\d{2})?)?)?)?"
)
_DIGITS = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?\d{0,6}()")

_SINCE_1970 = re.compile(r"(1[0-8]\d{8}|19[0-8]\d{7})(?:\d{3})?(?:\.\d{1,12})?")


def normalise_date(value: str | None) -> str | None:
    """Returns the date as `YYYY-MM-DDTHH:MM:SSZ`; None if `value` is missing or cannot be parsed."""
    if not value or not value.isascii():
        return None
    if counted := _SINCE_1970.fullmatch(value.strip()):
        return f"{(datetime(1970, 1, 1) + timedelta(seconds=int(counted[1]))).isoformat()}Z"
    found = _DIGITS.fullmatch(value.strip()) or _ISO.fullmatch(value.strip())
    if not found:
        return None
    *parts, zone = found.groups()
    try:
        moment = _moment(*(int(part) if part else None for part in parts)) - _offset(zone or "")
    except (ValueError, OverflowError):
        return None
    return f"{moment.isoformat()}Z"


def _moment(
    year: int | None, month: int | None, day: int | None, hour: int | None, minute: int | None, second: int | None
) -> datetime:
    """Raises ValueError for an impossible date; a leap second is the second before it, hour 24 the next day's 0."""
    if (hour or 0) > 24 or (minute or 0) > 59 or (second or 0) > 60:
        raise ValueError("no such time of day")
    clock = timedelta(hours=hour or 0, minutes=minute or 0, seconds=min(second or 0, 59))
    if day is not None and 31 < day <= 366:
        return datetime(year or 0, 1, 1) + timedelta(days=day - 1) + clock
    return datetime(year or 0, 1 if month is None else month, 1 if day is None else day) + clock


def _offset(zone: str) -> timedelta:
    if not zone.startswith(("+", "-")):
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return size if zone[0] == "+" else -size
