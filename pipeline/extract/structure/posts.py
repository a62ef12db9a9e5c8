"""Who spoke: the posts of a forum, the comments below an article, questions and answers, each with its author's name.

A post is an element whose class, id or item type says so in the way of a forum's software (phpBB, vBulletin, XenForo,
SMF, MyBB, FluxBB, Discourse, NodeBB, Invision, Vanilla, bbPress, Discuz!, Tieba, PTT, pixnet, Reddit, Lemmy, Lobsters,
Hacker News, Stack Exchange, GitHub, GitLab, Bugzilla, Disqus, WordPress, schema.org, microformats). Its author is the
first text of an element inside it that is named so, or an attribute of the post itself. Names count only where at least
two posts of one family have different ones: an article has one byline.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from pipeline.extract.markup import attributes
from pipeline.extract.references import characters
from pipeline.extract.text import flowing

# Words of class names and ids that may name a post or an author, see `pipeline/extract/blocks.py`.
HINTS: Final = frozenset(
    """
    post postbit postbitlegacy postcontainer postitem postrow forumpost message msg thing plhin windowbg topic
    discussion comment reply athing comtr push question answer suggested accepted pid
    author username user nick nickname poster postername bigusername hnuser creator authi commenter userid fn
    note blockpost byline person postleft
    """.split()  # noqa: SIM905
)
# Elements of a site's own that are posts and carry their author's name: `shreddit-comment`.
OWN_ELEMENTS: Final = ("-post", "-comment", "-reply")
# Of one family are the posts of one conversation.
FORUM, COMMENTS, ANSWERS = range(1, 4)
_POST: Final = re.compile(
    r"(post|topic-post|crawler-post|message|message--post|forum-?post|thread-?post|postbit(?:legacy)?|postcontainer|b-post"
    r"|post_wrapper|post-?item|post-?row|thing|plhin|windowbg2?|type-(?:reply|topic)|cpost|itemdiscussion"
    r"|timeline-comment|bz_comment|note-wrapper|blockpost|l_post)"
    r"|(comment|comment[-_]?(?:item|body|wrap|entry|box)|reply|ipscomment|itemcomment|athing|comtr|push|single-post"
    r"|shreddit-comment|p-comment)"
    r"|(question|answer|suggestedanswer|acceptedanswer)"
)
# Comments that are posts of a board: Hacker News, PTT.
_OF_BOARDS: Final = frozenset({"athing", "comtr", "push"})
_NUMBERED: Final = re.compile(
    r"(?:(post|pid|msg|message|js-post|note)|((?:div-|li-|el|dsq-|js-)?comment|reply)|(question|answer))[-_]?\d+"
)
_TYPE: Final = re.compile(r"schema\.org/(?:(DiscussionForumPosting)|(Comment|UserComments)|(Question|Answer))\s*\Z")
# An article or a page of WordPress, whose class is that of its replies too.
_ARTICLE: Final = re.compile(r"(?<![\w-])(?:hentry|type-(?:post|page))(?![\w-])")
_WRITER: Final = r"[-_]{0,2}(?:name|link|nicename|info|information|details|wrap|container)?"
# What shows the author among other things, then what holds the name alone; the item properties of schema.org are surer.
_AUTHOR: Final = re.compile(
    rf"(?:.*[-_])?(?:(author|poster|postername|authi|commenter|comment-user|byline|person-listing|postleft){_WRITER}"
    rf"|(user[-_]?name|nick(?:name)?|bigusername|hnuser|creator|userid|fn|author-?name){_WRITER})"
)
# What every match of that has one of.
_PARTS_OF_AUTHOR: Final = (
    *("auth", "poster", "commenter", "comment-user", "byline", "person-listing", "postleft"),
    *("user", "nick", "creator", "fn"),
)
_SURE: Final = 3
_SAYING: Final = ("data-author", "data-author-name", "data-username", "author", "author-name")
_BY: Final = re.compile(
    r"(?:(?:posted|written|asked|answered|originally)\s+)?"
    r"(?:by|von|par|por|door|av|от|автор|作者|发表人|發表人|发帖人)(?:\s*[:：]\s*|\s+|\Z)",
    re.IGNORECASE,
)
# Dates, numbers of posts and labels of forms.
_NO_NAME: Final = re.compile(
    r"发表于|發表於|#|\d{1,3}\Z|(?:user ?name|name|e-?mail|login|author|posts?|reply)\Z"
    r"|.*(?:(?:19|20)\d\d[-/.年]\d|\d[-/.,]\s?(?:19|20)\d\d\b|\d:\d\d)",
    re.IGNORECASE,
)
_NAME_CHARACTERS: Final = 48
_NAME_WORDS: Final = 5
_LETTER = re.compile(r"[^\W_]")
_SAYS = re.compile(r"\s*(?:says|said|wrote|schrieb|dit|dijo|写道|說|说)?\s*[:：]?\s*\Z", re.IGNORECASE)


class Post:
    """`family`: FORUM, COMMENTS or ANSWERS; `key`: what named it so; `name`: its author, "" if none is known; `sure`:
    the higher, the surer; `outer`: the post around it."""

    __slots__ = ("family", "key", "name", "outer", "sure")

    def __init__(self, role: "Role", outer: "Post | None") -> None:
        self.family = role.family
        self.key = role.key
        self.outer = outer
        self.name = named(role.name)
        self.sure = _SURE if self.name else 0

    def hear(self, raw: str, sure: int) -> None:
        """Takes a text of an author's element for the name, unless a better one is known."""
        if sure > self.sure and (name := named(raw)):
            self.name, self.sure = name, sure


class Role(NamedTuple):
    """What an element is: a post of a `family` (0: none), with the `name` that it carries; or its `author` (0: no)."""

    family: int = 0
    key: str = ""
    name: str = ""
    author: int = 0


_NONE: Final = Role()


@lru_cache(maxsize=1 << 12)
def role(inside: str) -> Role:
    """What the inside of a tag says of its element."""
    found = attributes(inside)
    classes = found.get("class", "").lower().split()
    properties = found.get("itemprop", "").lower().split()
    if "author" in properties or "creator" in properties:
        return Role(author=_SURE)
    if is_article := "p-comment" not in classes and bool(_ARTICLE.search(found.get("class", ""))):
        classes = [each for each in classes if each in ("type-reply", "type-topic")]
    for expression, values in (
        (_TYPE, () if is_article else (found.get("itemtype", ""),)),
        (_POST, (*classes, *properties, found.get("component", ""))),
        (_NUMBERED, () if is_article else (found.get("id", "").lower(),)),
    ):
        for value in values:
            match = (expression.search if expression is _TYPE else expression.fullmatch)(value)
            if match is not None and match.lastindex:
                said = next((found[name] for name in _SAYING if found.get(name)), "")
                return Role(match.lastindex, match[0], said)
    if not any(map(inside.lower().__contains__, _PARTS_OF_AUTHOR)) and "&" not in inside:
        return _NONE
    levels = [match.lastindex for each in classes if (match := _AUTHOR.fullmatch(each)) and match.lastindex]
    return Role(author=max(levels)) if levels else _NONE


@lru_cache(maxsize=1 << 10)
def role_of_own(name: str, inside: str) -> Role:
    """What an element of OWN_ELEMENTS is: a post, if it carries a name."""
    found = attributes(inside)
    said = next((found[each] for each in _SAYING if found.get(each)), "")
    return Role(FORUM, name, said) if said else _NONE


def named(raw: str) -> str:
    """The name in the text of an author's element; "" if there is none in it."""
    if len(raw) > 4 * _NAME_CHARACTERS:
        return ""
    name = flowing(characters(raw))
    name = _BY.sub("", name, count=1) if _BY.match(name) else name
    name = name.replace("*", "").strip(" :：,，»|·@")
    if len(name) > _NAME_CHARACTERS or name.count(" ") >= _NAME_WORDS or not _LETTER.search(name):
        return ""
    return "" if _NO_NAME.match(name) else name


def speaker(post: Post | None) -> Post | None:
    """The nearest post with a name. A post within another of its kind does not get that one's."""
    while post is not None and not post.name:
        outer = post.outer
        post = outer if outer is None or outer.key != post.key else None
    return post


def family_below(post: Post) -> int:
    """The family of a post as a reader of an article sees it: FORUM for what is a post of a board."""
    return FORUM if post.key in _OF_BOARDS else post.family


def conversation(posts: Iterable[Post | None]) -> set[int]:
    """Of the posts around a page's kept blocks the identities of those whose names are told."""
    names: dict[int, set[str]] = {}
    known: dict[int, Post] = {}
    for post in posts:
        said_by = speaker(post)
        if said_by is not None:
            known[id(said_by)] = said_by
            names.setdefault(said_by.family, set()).add(said_by.name)
    return {number for number, post in known.items() if len(names[post.family]) > 1}


def is_name_alone(text: str, name: str) -> bool:
    """Whether a text says no more than that this one spoke."""
    text = _BY.sub("", text, count=1) if _BY.match(text) else text
    text = text.removeprefix("@")
    return text.startswith(name) and bool(_SAYS.match(text, len(name)))


def without_name(text: str, name: str) -> str:
    """The text of a post without its author's name and a colon at its beginning, as chats have it."""
    place = text.find(name, 0, len(name) + 4)
    if place < 0 or (place and not text[:place].endswith(" ")):
        return text
    rest = text[place + len(name) :].lstrip()
    return text[:place] + rest[1:].lstrip() if rest[:1] in (":", "：") else text


def line(name: str) -> str:
    """How a name is written before what was said: a line of its own, which `filters/markdown.py` takes for a mark."""
    return f"**{name}**:"
