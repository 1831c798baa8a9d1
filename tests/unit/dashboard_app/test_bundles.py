"""The page's files: all of them, in an order in which each finds what it needs."""

import re
import shutil
from pathlib import Path

from dashboard_app import bundles
from dashboard_app.app import create_app
from sensorbus.contract.settings import Settings
from tests.support.held_parts import StillFeed

PREFIX = "/temperature/"


def test_a_bundle_holds_every_file_of_ours_once() -> None:
    """What a build brings (vendor) is Dash's to name."""
    own = bundles.build("/")
    paths = [path for suffix in ("js", "css") for path in bundles.FOLDER.rglob(f"*.{suffix}")]
    texts = [path.read_text(encoding="utf-8") for path in paths if "vendor" not in path.parts]
    assert len(texts) > 30
    assert [sum(bundle.text.count(text) for bundle in own) for text in texts] == [1] * len(texts)
    assert sum(len(bundle.text) for bundle in own) == sum(map(len, texts)) + len(texts) - len(own)


def test_tools_come_before_the_models_and_those_before_the_page() -> None:
    """Each script takes what it needs from those before it."""
    text = bundles.build("/").scripts.text
    files = ("dom.js", "model/series.js", "page/alerts.js", "page/pipeline.js")
    places = [text.index((bundles.FOLDER / name).read_text(encoding="utf-8")) for name in files]
    assert places == sorted(places)


def test_the_page_names_each_file_of_ours_once() -> None:
    """With a version, so that a browser keeps it for ever, and gets the new one after an upgrade."""
    settings = Settings(dashboard_url_prefix=PREFIX)
    client = create_app(settings, StillFeed(settings)).server.test_client()
    named = re.findall(r'(?:src|href)="(/temperature/assets/[^"]*)"', client.get(PREFIX).text)
    named = [address for address in named if "/vendor/" not in address]
    own = bundles.build(PREFIX)
    assert named == [bundle.address for bundle in own]
    for address, kind in zip(named, ("text/javascript", "text/css", "text/javascript"), strict=True):
        answer = client.get(address)
        assert (answer.status_code, answer.mimetype) == (200, kind)
        assert "immutable" in answer.headers["Cache-Control"]


def test_a_change_is_another_version_that_a_worker_of_before_does_not_have(tmp_path: Path) -> None:
    """While pods of both answer, nobody keeps the files of one under the address of the other."""
    changed = tmp_path / "assets"
    shutil.copytree(bundles.FOLDER, changed)
    with (changed / "dom.js").open("a") as file:
        file.write("// changed")
    before, after = bundles.build("/"), bundles.build("/", changed)
    assert before == bundles.build("/")
    assert [one.path == other.path for one, other in zip(before, after, strict=True)] == [True, True, False]
    settings = Settings()
    client = create_app(settings, StillFeed(settings)).server.test_client()
    assert client.get(before.scripts.address).status_code == 200
    assert client.get(after.scripts.address).status_code == 404
