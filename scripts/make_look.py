"""Make the READMEs' pictures of the page: its first screen, in English and in Chinese.

python scripts/make_look.py RUN

RUN: the folder of a finished `byhand train`. Needs Debian's chromium, and `pip install playwright`; fonts-noto-cjk for Chinese.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SHOWN = "image=13&at=conv1.3.10.15"
LANGUAGES = {"en": "look.png", "zh": "look.zh.png"}


def shoot(page_file: Path) -> None:
    """Write a screen in each language."""
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for language, name in LANGUAGES.items():
            page = browser.new_page(viewport={"width": 1440, "height": 960}, device_scale_factor=1.5)
            page.goto(f"{page_file.as_uri()}#language={language}&theme=light&{SHOWN}")
            page.wait_for_selector("html[data-ready]")
            page.wait_for_timeout(1000)
            page.screenshot(path=PICTURES / name)
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "look.html")
        subprocess.run([sys.executable, "-m", "byhand", "look", sys.argv[1], "--output", file, "--no-open"], check=True)
        shoot(file)
