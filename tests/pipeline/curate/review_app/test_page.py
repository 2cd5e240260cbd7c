"""The review page in a real browser: what it shows, its keys and buttons, and the decisions that it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.curate.manual_decisions import read_decisions
from pipeline.curate.review_app.server import ReviewServer
from tests.pipeline.curate.review_app.chromium import Chromium, Page, find_chromium, start
from tests.pipeline.curate.review_app.small_session import full_disk, serving, small_session

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
def server(tmp_path: Path) -> Iterator[ReviewServer]:
    with serving(small_session(tmp_path, 60)) as running:
        yield running


@pytest.fixture
def page(chromium: Chromium, server: ReviewServer) -> Iterator[Page]:
    opened = chromium.open(server.url)
    opened.wait(f"{TILES} > 0")
    yield opened
    opened.close()


def written(server: ReviewServer) -> list[tuple[str, str]]:
    """Return (image id, decision) of every line of decisions.jsonl."""
    return [(row.image_id, row.decision) for row in read_decisions(server.session.paths.decisions)]


def has_style(position: int, style: str) -> str:
    return f"document.querySelector('.tile[data-position=\"{position}\"]')?.classList.contains('{style}')"


def choose(name: str, text: str) -> str:
    """Select the option of a filter whose text starts with ``text``."""
    return (
        f"(() => {{ const select = document.querySelector('[data-filter={json.dumps(name)}]');"
        f"select.value = [...select.options].find((option) => option.text.startsWith('{text}')).value;"
        "select.dispatchEvent(new Event('change')); return true; })()"
    )


def texts(name: str) -> str:
    return f"[...document.querySelector('[data-filter={json.dumps(name)}]').options].map((option) => option.text)"


def test_images_are_shown_in_order_with_label_reason_and_score(page: Page, server: ReviewServer) -> None:
    page.wait(DRAWN)
    first = next(iter(server.session.items.values()))
    assert first.rejection is not None
    caption = page.evaluate(f"{SELECTED}.querySelector('.caption').innerText")
    assert caption.split("\n") == ["helmet", f"blurry {first.rejection.score:.3g} < 0.2"]
    assert page.evaluate(f"{SELECTED}.querySelector('img').alt") == f"helmet, blurry {first.rejection.score:.3g} < 0.2"
    ids = page.evaluate("[...document.querySelectorAll('.tile img')].map((img) => img.src.split('/').pop())")
    assert ids == list(server.session.items)[: len(ids)]
    assert page.evaluate(DONE) == "0 of 20 rejected images decided"
    assert page.errors() == []


def test_k_and_d_write_a_decision_and_select_the_next_image(page: Page, server: ReviewServer) -> None:
    first, second, *_ = server.session.items
    page.press("k")
    page.wait(has_style(0, "kept"))
    assert written(server) == [(first, "keep")]
    page.press("d")
    page.wait(has_style(1, "dropped"))
    assert written(server) == [(first, "keep"), (second, "drop")]
    assert page.evaluate(f"{SELECTED}.dataset.position") == "2"
    assert page.evaluate(DONE) == "2 of 20 rejected images decided"
    assert page.evaluate("document.querySelector('#bar').position") == 0.1


def test_keys_in_quick_succession_are_written_in_order(page: Page, server: ReviewServer) -> None:
    page.evaluate("for (const key of 'kdkdkdkdkd') document.dispatchEvent(new KeyboardEvent('keydown', {key})); 1")
    page.wait(f"{DONE}.startsWith('10 of')")
    ids = list(server.session.items)[:10]
    assert written(server) == [(image_id, ("keep", "drop")[n % 2]) for n, image_id in enumerate(ids)]


def test_u_undoes_the_last_decision_and_then_one_of_an_earlier_session(page: Page, server: ReviewServer) -> None:
    first, second, *_ = server.session.items
    page.press("k")
    page.press("d")
    page.wait(has_style(1, "dropped"))
    page.press("u")
    page.wait(f"!{has_style(1, 'dropped')} && {SELECTED}.dataset.position === '1'")
    assert written(server)[2:] == [(second, "undo")]
    page.evaluate("window.isOld = true")
    page.call("Page.reload")
    page.wait(f"!window.isOld && {has_style(0, 'kept')}")
    page.press("u")
    page.wait(f"!{has_style(0, 'kept')}")
    assert written(server)[3:] == [(first, "undo")]
    assert server.session.decisions == {}


def test_undoing_a_changed_decision_restores_the_first_one(page: Page, server: ReviewServer) -> None:
    page.press("k")
    page.press("Home")
    page.press("d")
    page.wait(has_style(0, "dropped"))
    page.press("u")
    page.wait(has_style(0, "kept"))
    assert [choice for _, choice in written(server)] == ["keep", "drop", "keep"]


def test_buttons_trigger_the_same_actions_as_keys(page: Page, server: ReviewServer) -> None:
    for act in ("keep", "drop"):
        page.evaluate(f"document.querySelector('footer [data-act={act}]').click()")
    page.wait(f"{has_style(0, 'kept')} && {has_style(1, 'dropped')}")
    page.evaluate("document.querySelector('footer [data-act=undo]').click()")
    page.wait(f"!{has_style(1, 'dropped')}")
    page.evaluate("document.querySelector('.tile[data-position=\"4\"]').click()")
    assert page.evaluate(f"{SELECTED}.dataset.position") == "4"
    assert len(written(server)) == 3


def test_a_decision_that_is_not_saved_raises_an_alert_and_shows_no_badge(page: Page, server: ReviewServer) -> None:
    with full_disk(server.session.paths.decisions):
        page.press("k")
        page.wait("!document.querySelector('#alert').hidden")
    alert = page.evaluate("document.querySelector('#alert p').textContent")
    assert alert.startswith(f"Not saved: keep {next(iter(server.session.items))}: ")
    assert "File too large" in alert
    assert page.evaluate(f"{SELECTED}.dataset.position") == "0"
    assert not page.evaluate(has_style(0, "kept"))
    assert page.evaluate(DONE) == "0 of 20 rejected images decided"
    assert written(server) == []
    page.press("k")
    page.wait(has_style(0, "kept"))
    assert page.evaluate("document.querySelector('#alert').hidden")


def test_a_stopped_server_raises_an_alert(chromium: Chromium, tmp_path: Path) -> None:
    with serving(small_session(tmp_path)) as running:
        page = chromium.open(running.url)
        page.wait(f"{TILES} > 0")
        page.evaluate("window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); 1")
        page.press("d")
        page.wait("!document.querySelector('#alert').hidden")
        assert "is gossamer review still running?" in page.evaluate("document.querySelector('#alert p').textContent")
        assert not page.evaluate(has_style(0, "dropped"))
        page.close()


def test_filters_restrict_the_images_and_count_those_of_each_option(page: Page) -> None:
    assert page.evaluate(texts("reason")) == ["any", "blurry (15)", "kept (40)", "label_error (5)"]
    assert page.evaluate(texts("factor light")) == ["any", "day (20)", "indoor (20)", "night (20)"]
    page.evaluate(choose("factor light", "night"))
    assert page.evaluate("document.querySelector('#count').textContent") == "20 images"
    assert page.evaluate(texts("reason")) == ["any", "blurry (0)", "kept (20)", "label_error (0)"]
    page.evaluate(choose("factor label", "mine-1"))
    assert page.evaluate("document.querySelector('#count').textContent") == "10 images"
    assert page.evaluate(TILES) == 10
    page.evaluate("document.querySelector('#clear').click()")
    assert page.evaluate("document.querySelector('#count').textContent") == "60 images"


def test_the_undecided_images_can_be_filtered(page: Page) -> None:
    page.press("k")
    page.wait(has_style(0, "kept"))
    page.evaluate(choose("decided", "undecided"))
    assert page.evaluate("document.querySelector('#count').textContent") == "59 images"
    page.evaluate(choose("reason", "label_error"))
    page.evaluate(choose("decided", "decided"))
    assert page.evaluate("document.querySelector('#empty').hidden") is False
    page.press("k")  # no image is selected
    assert page.evaluate(DONE) == "1 of 20 rejected images decided"


def test_the_enlarged_view_shows_all_details_and_accepts_decisions(page: Page, server: ReviewServer) -> None:
    page.press("Enter")
    page.wait("document.querySelector('#viewer').open && document.querySelector('#large').naturalWidth === 96")
    facts = page.evaluate("document.querySelector('#facts').innerText")
    first = next(iter(server.session.items.values()))
    assert all(text in facts for text in (first.image.id, f"looks doubtful: {int(first.image.id)}", "light"))
    page.press("ArrowRight")
    assert list(server.session.items)[1] in page.evaluate("document.querySelector('#facts').innerText")
    page.press("d")
    page.wait(has_style(1, "dropped"))
    page.press(" ")
    page.wait("!document.querySelector('#viewer').open")
    assert len(written(server)) == 1
    page.press("?")
    page.wait("document.querySelector('#help').open")
    page.press("Escape")
    page.wait("!document.querySelector('#help').open")


def test_twenty_thousand_images_need_few_tiles(chromium: Chromium, tmp_path: Path) -> None:
    with serving(small_session(tmp_path, MANY)) as running:
        page = chromium.open(running.url, (1400, 900))
        page.wait(f"{TILES} > 0")
        assert page.evaluate(TILES) < 300
        page.evaluate("grid.scrollTop = grid.scrollHeight; 1")
        page.wait(f"document.querySelector('.tile[aria-posinset=\"{MANY}\"]')")
        assert page.evaluate(TILES) < 300
        page.press("Home")
        page.press("End")
        page.wait(f"{SELECTED}?.getAttribute('aria-posinset') === '{MANY}'")
        page.wait(DRAWN)
        inside = page.evaluate(f"{SELECTED}.getBoundingClientRect().bottom <= grid.getBoundingClientRect().bottom")
        assert inside
        last = page.evaluate("document.querySelector('.tile:last-child').id")
        assert page.evaluate("grid.getAttribute('aria-activedescendant')") == last
        page.press("d")
        page.wait(f"{DONE}.endsWith('decided, and 1 kept by the checks')")
        assert written(running) == [(list(running.session.items)[-1], "drop")]
        assert page.errors() == []
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1400, 900), (420, 800)])
def test_the_page_fits_its_window(chromium: Chromium, server: ReviewServer, size: tuple[int, int], scheme: str) -> None:
    page = chromium.open(server.url, size, scheme)
    page.wait(f"{TILES} > 0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth && grid.scrollWidth <= grid.clientWidth")
    width = page.evaluate(f"{SELECTED}.clientWidth")
    assert 170 <= width <= 240
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0] < 100")
    assert is_dark is (scheme == "dark")
    assert page.screenshot().startswith(b"\x89PNG")
    page.close()
