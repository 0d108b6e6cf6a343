"""Pages of a text, as many as an agent can read at once."""

from dataclasses import dataclass

from app.agents.errors import AgentError

MOST_CHARACTERS = 20_000
_MOST_PAGES = 5000


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some pages of a text."""

    text: str
    """The pages with form feeds between; the last may be cut."""

    pages: str
    """Which they are, such as "1-3,7"."""

    more: str
    """Which of those that were asked for are left; "" for none."""

    cut: bool
    """Whether the end of the last page is missing."""


def excerpt(text: str, wanted: str | None, most: int = MOST_CHARACTERS) -> Excerpt:
    """The pages of ``wanted`` ("1-3,7"; None: all) that have ``most`` characters together.

    The first is told even if it is longer, as far as that goes. Raises AgentError.
    """
    pages = text.split("\f")
    numbers = _numbers(wanted, len(pages)) if wanted else list(range(1, len(pages) + 1))
    told = length = 0
    for number in numbers:
        length += len(pages[number - 1]) + 1
        if told and length > most:
            break
        told += 1
    shown = "\f".join(pages[number - 1] for number in numbers[:told])
    return Excerpt(
        shown[:most], _ranges(numbers[:told]), _ranges(numbers[told:]), len(shown) > most
    )


def _numbers(wanted: str, last: int) -> list[int]:
    found: list[int] = []
    for item in wanted.split(","):
        first, dash, end = item.strip().partition("-")
        ends = (first, end if dash else first)
        if not all(one.isascii() and one.isdecimal() and len(one) < 6 for one in ends):
            raise _wrong(last)
        found += range(int(ends[0]), min(int(ends[1]), _MOST_PAGES) + 1)
    if not found or min(found) < 1 or max(found) > last:
        raise _wrong(last)
    return list(dict.fromkeys(found))


def _wrong(last: int) -> AgentError:
    return AgentError(
        "page_not_exist",
        f"The text has the pages 1 to {last}.",
        'Name some of them, such as "1-3,7".',
    )


def _ranges(numbers: list[int]) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
