"""What a worker tells its supervisor."""

import os
from collections.abc import Iterator

import pytest

from app import telling
from app.context import Place, Span
from app.telling import Listener, Teller, span_of

SPAN = Span("recognize", Place("ab" * 16, "12" * 8), "34" * 8, 1, 2, attributes={"页": 3})
Ends = tuple[Teller, Listener]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = telling.pipe()
    listener = Listener(ours)
    yield Teller(theirs, traces=True), listener
    listener.close()
    os.close(theirs)


def test_all_is_heard(ends: Ends) -> None:
    """Sums are added up before, single values and spans are not."""
    teller, listener = ends

    teller.ready()
    for _ in range(3):
        teller.note("ocr_steps_total", 1, "convert", "")
        teller.note("ocr_task_seconds", 0.5, "complete")
    teller.span(SPAN)
    teller.pass_on()
    teller.pass_on()
    teller.spent()

    heard = list(listener.heard())
    assert heard[0] == {"ready": True}
    assert heard[1]["notes"] == [
        ["ocr_steps_total", 3, "convert", ""],
        *[["ocr_task_seconds", 0.5, "complete"]] * 3,
    ]
    assert [span_of(told) for told in heard[2]["spans"]] == [SPAN]
    assert heard[3:] == [{"spent": True}]
    assert not list(listener.heard())


def test_a_supervisor_that_does_not_listen_holds_nobody_up(ends: Ends) -> None:
    """Figures are told later, none twice; spans are dropped."""
    teller, listener = ends
    for n in range(40_000):
        teller.note("ocr_task_seconds", n, "complete")
        if n % 100 == 0:
            teller.span(SPAN)

    teller.pass_on()
    first = list(listener.heard())
    teller.pass_on()
    rest = list(listener.heard())

    noted = [value for told in first + rest for _, value, _ in told.get("notes", ())]
    assert noted == list(range(40_000))
    assert len(rest) > 1
    assert not any("spans" in told for told in first + rest)


def test_too_many_spans_are_counted(ends: Ends) -> None:
    """A document of thousands of pages does not fill the memory."""
    teller, listener = ends
    for _ in range(600):
        teller.span(SPAN)

    teller.pass_on()

    spans = [span for told in listener.heard() for span in told["spans"]]
    assert len(spans) == 500
    assert spans[-1]["attributes"]["ocr.spans_left_out"] == 100


def test_half_a_line_and_nonsense(ends: Ends) -> None:
    """A worker may be killed, or taken over: neither what it says nor how much is believed."""
    teller, listener = ends
    os.write(teller._descriptor, b'{"ready": tr')
    assert not list(listener.heard())
    os.write(teller._descriptor, b"ue}\nx")
    assert list(listener.heard()) == [{"ready": True}]
    os.write(teller._descriptor, b"\n")
    with pytest.raises(ValueError, match="Expecting value"):
        list(listener.heard())
    os.write(teller._descriptor, b"1" * 9000)
    with pytest.raises(ValueError, match="as long"):
        list(listener.heard())


def test_whoever_never_stops_is_heard_for_a_while(ends: Ends) -> None:
    """What it tells meanwhile is for the next time: others are to be listened to."""
    teller, listener = ends
    teller.ready()

    heard = 0
    for _ in listener.heard():
        heard += 1
        teller.ready()

    assert heard == 1
