"""Declarative shadow roots: the page as a browser composes it from `<template shadowrootmode>` and the host's children.

The children of a host are shown where its template has a slot for them, and nowhere else; a slot that gets none shows
what it holds. Open and closed roots are shown alike.
"""

from typing import Final

from pipeline.extract.element_ends import RAW
from pipeline.extract.markup import SHADOW_ROOT, attributes, nest, scan

# Read as one piece each; but of the templates those of hosts (see `scan`).
_WHOLE: Final = RAW | {"svg", "math", "noscript", "template"}

# Begin and end of a piece of the page.
Range = tuple[int, int]


class _Element:
    __slots__ = ("attributes", "children", "end", "name", "start")

    def __init__(self, name: str, start: Range, attributes: dict[str, str]) -> None:
        self.name = name
        self.start = start
        self.end: Range = (0, 0)  # of the end tag, if there is one
        self.attributes = attributes
        self.children: list[_Element | Range] = []

    @property
    def is_root(self) -> bool:
        return self.name == "template"


# What a host has for the slots of its template, by name: nodes, and what their own slots get.
_Slots = dict[str, tuple[list[_Element | Range], "_Slots | None"]]


def composed(html: str) -> str:
    """The page with its shadow trees in their places; the page itself if it has none. Linear."""
    if "shadowroot" not in html or not SHADOW_ROOT.search(html):
        return html
    pieces: list[str] = []
    waiting: list[tuple[_Element | Range, _Slots | None]] = [(_tree(html), None)]
    while waiting:
        node, slots = waiting.pop()
        if isinstance(node, tuple):
            pieces.append(html[slice(*node)])
            continue
        pieces.append(html[slice(*node.start)])
        waiting.append((node.end, slots))
        children = node.children
        root = next((child for child in children if isinstance(child, _Element) and child.is_root), None)
        if root is not None:
            slots = _slots(node, slots)
            children = root.children
        elif node.name == "slot" and slots is not None:
            children, slots = slots.pop(node.attributes.get("name", ""), (children, slots))
        waiting += [(child, slots) for child in reversed(children)]
    return "".join(pieces)


def _slots(host: _Element, outer: _Slots | None) -> _Slots:
    slots: _Slots = {}
    for child in host.children:
        if isinstance(child, tuple):
            name = ""
        elif child.is_root:
            continue
        else:
            name = child.attributes.get("slot", "")
        slots.setdefault(name, ([], outer))[0].append(child)
    return slots


def _tree(html: str) -> _Element:
    """The elements of a page, as far as `nest` knows where they end."""
    root = _Element("", (0, 0), {})
    names: list[str] = []
    open_ = [root]  # the root, then an element for each of `names`
    position = 0
    for tag in scan(html, _WHOLE):
        if tag.start > position:
            open_[-1].children.append((position, tag.start))
        position = tag.end
        is_host_template = tag.name == "template" and (tag.closing or tag.content == tag.end)
        if tag.name in _WHOLE and not is_host_template:
            open_[-1].children.append((tag.start, tag.end))
            continue
        count = len(names)
        opened = nest(names, tag)
        if tag.closing and len(names) < count:
            open_[len(names) + 1].end = (tag.start, tag.end)
        del open_[len(names) + (not opened) :]
        if opened:
            inside = html[tag.start + len(tag.name) + 1 : tag.content]
            element = _Element(tag.name, (tag.start, tag.content), attributes(inside) if " " in inside else {})
            open_[-1].children.append(element)
            open_.append(element)
        elif not (tag.closing and len(names) < count):
            open_[-1].children.append((tag.start, tag.end))
    if position < len(html):
        open_[-1].children.append((position, len(html)))
    return root
