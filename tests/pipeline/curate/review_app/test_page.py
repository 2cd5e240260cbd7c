"""The desk's page in a real browser: what a person sees, presses and finds in the file afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.curate.manual_decisions import read_decisions
from pipeline.curate.review_app.server import DeskServer
from tests.pipeline.curate.review_app.chromium import Chromium, Page, find_chromium, start
from tests.pipeline.curate.review_app.small_desk import full_disk, serving, small_desk

TILES = "document.querySelectorAll('.tile').length"
SELECTED = "document.querySelector('.tile[aria-selected=true]')"
DRAWN = "[...document.querySelectorAll('.tile img')].every((img) => img.complete && img.naturalWidth > 0)"
DONE = "document.querySelector('#done').textContent"
MANY = 20_000


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    command = find_chromium()
    if command is None:
        pytest.skip("no chromium, chromium-browser, google-chrome or chrome on PATH")
    with start(command, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DeskServer]:
    with serving(small_desk(tmp_path, 60)) as running:
        yield running


@pytest.fixture
def page(chromium: Chromium, server: DeskServer) -> Iterator[Page]:
    opened = chromium.open(server.url)
    opened.wait(f"{TILES} > 0")
    yield opened
    opened.close()


def made(server: DeskServer) -> list[tuple[str, str]]:
    return [(one.image_id, one.decision) for one in read_decisions(server.desk.paths.decisions)]


def is_marked(image: int, how: str) -> str:
    return f"document.querySelector('.tile[data-place=\"{image}\"]')?.classList.contains('{how}')"


def choose(name: str, text: str) -> str:
    """Choose the option of a filter whose text starts so."""
    return (
        f"(() => {{ const select = document.querySelector('[data-filter={json.dumps(name)}]');"
        f"select.value = [...select.options].find((option) => option.text.startsWith('{text}')).value;"
        "select.dispatchEvent(new Event('change')); return true; })()"
    )


def texts(name: str) -> str:
    return f"[...document.querySelector('[data-filter={json.dumps(name)}]').options].map((option) => option.text)"


def test_pictures_are_shown_in_order_with_what_was_said_of_them(page: Page, server: DeskServer) -> None:
    page.wait(DRAWN)
    first = next(iter(server.desk.tiles.values()))
    assert first.said is not None
    caption = page.tell(f"{SELECTED}.querySelector('.caption').innerText")
    assert caption.split("\n") == ["helmet", f"blurry {first.said.score:.3g} < 0.2"]
    assert page.tell(f"{SELECTED}.querySelector('img').alt") == f"helmet, blurry {first.said.score:.3g} < 0.2"
    ids = page.tell("[...document.querySelectorAll('.tile img')].map((img) => img.src.split('/').pop())")
    assert ids == list(server.desk.tiles)[: len(ids)]
    assert page.tell(DONE) == "0 of 20 doubtful decided"
    assert page.complaints() == []


def test_k_and_d_write_at_once_mark_and_go_on(page: Page, server: DeskServer) -> None:
    first, second, *_ = server.desk.tiles
    page.press("k")
    page.wait(is_marked(0, "kept"))
    assert made(server) == [(first, "keep")]
    page.press("d")
    page.wait(is_marked(1, "dropped"))
    assert made(server) == [(first, "keep"), (second, "drop")]
    assert page.tell(f"{SELECTED}.dataset.place") == "2"
    assert page.tell(DONE) == "2 of 20 doubtful decided"
    assert page.tell("document.querySelector('#bar').position") == 0.1


def test_keys_in_quick_succession_keep_their_order(page: Page, server: DeskServer) -> None:
    page.tell("for (const key of 'kdkdkdkdkd') document.dispatchEvent(new KeyboardEvent('keydown', {key})); 1")
    page.wait(f"{DONE}.startsWith('10 of')")
    assert made(server) == [(name, ("keep", "drop")[n % 2]) for n, name in enumerate(list(server.desk.tiles)[:10])]


def test_u_takes_back_the_last_decision_then_that_of_an_earlier_sitting(page: Page, server: DeskServer) -> None:
    first, second, *_ = server.desk.tiles
    page.press("k")
    page.press("d")
    page.wait(is_marked(1, "dropped"))
    page.press("u")
    page.wait(f"!{is_marked(1, 'dropped')} && {SELECTED}.dataset.place === '1'")
    assert made(server)[2:] == [(second, "undo")]
    page.tell("window.isOld = true")
    page.call("Page.reload")
    page.wait(f"!window.isOld && {is_marked(0, 'kept')}")
    page.press("u")
    page.wait(f"!{is_marked(0, 'kept')}")
    assert made(server)[3:] == [(first, "undo")]
    assert server.desk.decided == {}


def test_undoing_a_change_of_mind_brings_the_first_decision_back(page: Page, server: DeskServer) -> None:
    page.press("k")
    page.press("Home")
    page.press("d")
    page.wait(is_marked(0, "dropped"))
    page.press("u")
    page.wait(is_marked(0, "kept"))
    assert [choice for _, choice in made(server)] == ["keep", "drop", "keep"]


def test_buttons_do_what_keys_do(page: Page, server: DeskServer) -> None:
    for act in ("keep", "drop"):
        page.tell(f"document.querySelector('footer [data-act={act}]').click()")
    page.wait(f"{is_marked(0, 'kept')} && {is_marked(1, 'dropped')}")
    page.tell("document.querySelector('footer [data-act=undo]').click()")
    page.wait(f"!{is_marked(1, 'dropped')}")
    page.tell("document.querySelector('.tile[data-place=\"4\"]').click()")
    assert page.tell(f"{SELECTED}.dataset.place") == "4"
    assert len(made(server)) == 3


def test_a_decision_that_is_not_saved_is_said_and_not_marked(page: Page, server: DeskServer) -> None:
    with full_disk(server.desk.paths.decisions):
        page.press("k")
        page.wait("!document.querySelector('#alert').hidden")
    said = page.tell("document.querySelector('#alert p').textContent")
    assert said.startswith(f"Not saved: keep {next(iter(server.desk.tiles))}: ")
    assert "File too large" in said
    assert page.tell(f"{SELECTED}.dataset.place") == "0"
    assert not page.tell(is_marked(0, "kept"))
    assert page.tell(DONE) == "0 of 20 doubtful decided"
    assert made(server) == []
    page.press("k")
    page.wait(is_marked(0, "kept"))
    assert page.tell("document.querySelector('#alert').hidden")


def test_a_desk_that_was_closed_is_said(chromium: Chromium, tmp_path: Path) -> None:
    with serving(small_desk(tmp_path)) as running:
        page = chromium.open(running.url)
        page.wait(f"{TILES} > 0")
        page.tell("window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); 1")
        page.press("d")
        page.wait("!document.querySelector('#alert').hidden")
        assert "is gossamer review still running?" in page.tell("document.querySelector('#alert p').textContent")
        assert not page.tell(is_marked(0, "dropped"))
        page.close()


def test_filters_narrow_and_say_how_many_there_would_be(page: Page) -> None:
    assert page.tell(texts("reason")) == ["any", "blurry (15)", "kept (40)", "label_error (5)"]
    assert page.tell(texts("factor light")) == ["any", "day (20)", "indoor (20)", "night (20)"]
    page.tell(choose("factor light", "night"))
    assert page.tell("document.querySelector('#count').textContent") == "20 pictures"
    assert page.tell(texts("reason")) == ["any", "blurry (0)", "kept (20)", "label_error (0)"]
    page.tell(choose("factor label", "mine-1"))
    assert page.tell("document.querySelector('#count').textContent") == "10 pictures"
    assert page.tell(TILES) == 10
    page.tell("document.querySelector('#clear').click()")
    assert page.tell("document.querySelector('#count').textContent") == "60 pictures"


def test_the_undecided_are_what_is_left_to_do(page: Page) -> None:
    page.press("k")
    page.wait(is_marked(0, "kept"))
    page.tell(choose("decided", "undecided"))
    assert page.tell("document.querySelector('#count').textContent") == "59 pictures"
    page.tell(choose("reason", "label_error"))
    page.tell(choose("decided", "decided"))
    assert page.tell("document.querySelector('#empty').hidden") is False
    page.press("k")  # there is nothing to decide on
    assert page.tell(DONE) == "1 of 20 doubtful decided"


def test_the_large_view_tells_all_and_decides_too(page: Page, server: DeskServer) -> None:
    page.press("Enter")
    page.wait("document.querySelector('#look').open && document.querySelector('#large').naturalWidth === 96")
    facts = page.tell("document.querySelector('#facts').innerText")
    first = next(iter(server.desk.tiles.values()))
    assert all(words in facts for words in (first.image.id, f"looks doubtful: {int(first.image.id)}", "light"))
    page.press("ArrowRight")
    assert list(server.desk.tiles)[1] in page.tell("document.querySelector('#facts').innerText")
    page.press("d")
    page.wait(is_marked(1, "dropped"))
    page.press(" ")
    page.wait("!document.querySelector('#look').open")
    assert len(made(server)) == 1
    page.press("?")
    page.wait("document.querySelector('#help').open")
    page.press("Escape")
    page.wait("!document.querySelector('#help').open")


def test_twenty_thousand_pictures_are_a_few_tiles(chromium: Chromium, tmp_path: Path) -> None:
    with serving(small_desk(tmp_path, MANY)) as running:
        page = chromium.open(running.url, (1400, 900))
        page.wait(f"{TILES} > 0")
        assert page.tell(TILES) < 300
        page.tell("grid.scrollTop = grid.scrollHeight; 1")
        page.wait(f"document.querySelector('.tile[aria-posinset=\"{MANY}\"]')")
        assert page.tell(TILES) < 300
        page.press("Home")
        page.press("End")
        page.wait(f"{SELECTED}?.getAttribute('aria-posinset') === '{MANY}'")
        page.wait(DRAWN)
        inside = page.tell(f"{SELECTED}.getBoundingClientRect().bottom <= grid.getBoundingClientRect().bottom")
        assert inside
        assert page.tell("grid.getAttribute('aria-activedescendant') === document.querySelector('.tile:last-child').id")
        page.press("d")
        page.wait(f"{DONE}.endsWith('decided, and 1 that passed')")
        assert made(running) == [(list(running.desk.tiles)[-1], "drop")]
        assert page.complaints() == []
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1400, 900), (420, 800)])
def test_the_page_fits_its_window(chromium: Chromium, server: DeskServer, size: tuple[int, int], scheme: str) -> None:
    page = chromium.open(server.url, size, scheme)
    page.wait(f"{TILES} > 0")
    assert page.tell("document.documentElement.scrollWidth <= innerWidth && grid.scrollWidth <= grid.clientWidth")
    width = page.tell(f"{SELECTED}.clientWidth")
    assert 170 <= width <= 240
    is_dark = page.tell("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 100")
    assert is_dark is (scheme == "dark")
    assert page.screenshot().startswith(b"\x89PNG")
    page.close()
