"""The page in a browser: what the explorer shows, for addresses and for clicks."""

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from agnet.runtime.paths import CHECKPOINT_DIR
from agnet.spaces.nasbench201 import parse
from evaluation.report import report
from evaluation.report.measurements import SPACE
from evaluation.report.reading import read_measurements

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BUNDLED = CHECKPOINT_DIR / "nasbench201_digits.parquet"
CELL = 6111


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if BROWSER is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    out = tmp_path_factory.mktemp("report")
    report(BUNDLED, out)
    return out / "index.html"


def shown(page: Path, profile: Path, address: str = "", script: str = "") -> str:
    """The document after its scripts, and after one of the test's, have run."""
    if script:
        copy = page.with_name("exercised.html")
        copy.write_text(page.read_text().replace("</body>", f"<script>{script}</script></body>"))
        page = copy
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", "--virtual-time-budget=4000", "--dump-dom", f"{page.as_uri()}{address}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return unescape(done.stdout)


def drawn(document: str) -> tuple[str, ...]:
    """Operations of the cell that is drawn."""
    return tuple(re.findall(r'data-edge="\d" data-op="(\w+)"', document))


def part(document: str, name: str) -> str:
    """Text of an element of the explorer."""
    found = re.search(rf'<(div|p|figure) id="{name}".*?(?=<(?:div|p|figure) id="|</section>)', document, re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", found[0]))


@pytest.mark.parametrize("by", ["id", "string"])
def test_an_address_opens_a_cell(page: Path, tmp_path: Path, by: str) -> None:
    cell = SPACE.enumerate()[CELL]
    document = shown(page, tmp_path, f"#cell={CELL if by == 'id' else cell}")
    assert drawn(document) == parse(cell)
    about = part(document, "about")
    assert f"id {CELL} string {cell}" in about
    number = SPACE.isomorphs[CELL]
    assert f"Its class: {SPACE.isomorphs.count(number)} isomorphic" in about
    (data,) = read_measurements(BUNDLED)
    row = data.row_of_class[number]
    ranks = part(document, "ranks")
    for name, values in data.criteria.items():
        shown_values = np.rint(values * 100)  # the page has hundredths of a point
        rank = 1 + int((shown_values > shown_values[row]).sum())
        assert f" {name} {shown_values[row] / 100:.2f} {rank:,} " in ranks.replace(".0 ", ".00 ") + " ", name
    neighbours = part(document, "neighbours")
    for other in SPACE.neighbors(cell):
        assert f" {SPACE.enumerate().index(other)} " in neighbours
    assert part(document, "curves").count("median") == 1
    assert part(document, "message").strip() == ""


def test_an_address_of_no_cell_says_so(page: Path, tmp_path: Path) -> None:
    document = shown(page, tmp_path, "#cell=15625")
    assert "No cell 15625: give an id from 0 to 15624" in part(document, "message")


ACTIONS = {
    "an edge": "document.querySelectorAll('#drawing .edge')[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))",
    "an edge by key": "document.querySelectorAll('#drawing .edge')[0]"
    ".dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))",
    "a choice": "const s = document.querySelector('#operations select'); s.selectedIndex = (s.selectedIndex + 1) % 5;"
    "s.dispatchEvent(new Event('change'))",
}


@pytest.mark.parametrize("action", ACTIONS)
def test_operations_change(page: Path, tmp_path: Path, action: str) -> None:
    before = parse(SPACE.enumerate()[CELL])
    order = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none")
    document = shown(page, tmp_path, f"#cell={CELL}", f"{{ {ACTIONS[action]} }}")
    assert drawn(document) == (order[(order.index(before[0]) + 1) % 5], *before[1:])


def test_a_neighbour_and_the_form_open_a_cell(page: Path, tmp_path: Path) -> None:
    script = "document.querySelector('#neighbours td button').click()"
    document = shown(page, tmp_path, f"#cell={CELL}", script)
    assert drawn(document) in {parse(other) for other in SPACE.neighbors(SPACE.enumerate()[CELL])}
    script = "document.querySelector('#query').value = '50'; document.querySelector('#pick button').click()"
    assert drawn(shown(page, tmp_path / "form", "", script)) == parse(SPACE.enumerate()[50])
