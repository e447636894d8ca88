"""The report in a real browser: no console message, no request, no fault that axe finds."""

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.training.report.test_hindcast import HORIZONS, WEEKS
from training.report import build_hindcast, write_page, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_page(build_hindcast(HORIZONS, WEEKS, "a ledger"), folder / "hindcast.html")
    return write_report(whole.evaluation, whole.panel, whole.predictor, folder)


def open_in_browser(page: Path, scratch: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Open a page from disk."""
    flags = [*FLAGS, f"--user-data-dir={scratch / 'profile'}", *more]
    return subprocess.run(
        [str(CHROMIUM), *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )


def asked_by(page: Path, scratch: Path) -> tuple[set[str], str, str]:
    """Hosts asked while a page is open, what it became, and what the browser said."""
    scratch.mkdir()
    log = scratch / "net.json"
    seen = open_in_browser(page, scratch, "--dump-dom", f"--log-net-log={log}")
    urls = re.findall(r'"url":"([^"]+)"', log.read_text())
    return {urlsplit(u).netloc for u in urls if u.startswith("http")}, seen.stdout, seen.stderr


def test_it_opens_without_a_message_or_a_request(page, tmp_path):
    empty = tmp_path / "empty.html"
    empty.write_text("<title>nothing</title>", encoding="utf-8")
    asking = tmp_path / "asking.html"
    asking.write_text("<title>x</title><img src='http://127.0.0.1:9/x.png'><script>console.log('heard')</script>")
    own = asked_by(empty, tmp_path / "a")[0]  # what the browser asks for itself
    hosts, _, said = asked_by(asking, tmp_path / "b")
    assert "127.0.0.1:9" in hosts - own  # the check sees a request, and a message
    assert "CONSOLE" in said
    hosts, dom, said = asked_by(page, tmp_path / "c")
    assert "Findings" in dom
    assert not hosts - own
    assert "CONSOLE" not in said


@pytest.mark.skipif(find_spec("axe_core_python") is None, reason="needs axe-core-python")
@pytest.mark.parametrize(("name", "dark"), [("report", False), ("report", True), ("model", False), ("hindcast", False)])
def test_axe_finds_no_fault(page, tmp_path, name, dark):
    axe = Path(find_spec("axe_core_python").origin).with_name("axe.min.js").read_text(encoding="utf-8")
    text = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.with_stem(name).read_text(encoding="utf-8")
    )
    text = text.replace("<details>", "<details open>")  # what is folded is judged as well
    script = (
        "axe.run().then(r => { const out = document.createElement('pre'); out.id = 'axe';"
        "out.textContent = JSON.stringify({passes: r.passes.length, violations: r.violations.map("
        "v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)])}); document.body.append(out); });"
    )
    copy = tmp_path / "judged.html"
    copy.write_text(
        text.replace("</body>", f"<script>{axe}</script><script>{script}</script></body>"), encoding="utf-8"
    )
    theme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    dom = open_in_browser(copy, tmp_path, "--dump-dom", "--virtual-time-budget=60000", *theme).stdout
    found = json.loads(
        re.search(r'<pre id="axe">(.*?)</pre>', dom, re.DOTALL)[1]
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
    )
    assert found["passes"] > 10
    assert found["violations"] == []
