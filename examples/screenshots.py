"""Opens runs in TensorBoard in a browser nobody sees, and takes a picture of every tab that has something to show.

    python examples/screenshots.py LOG_DIR OUT_DIR [TAB ...]

Needs tensorboard, and Chromium on the path (on Debian: apt install chromium fonts-dejavu). A picture takes up to half a
minute where it is drawn in three dimensions without a graphics card.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

BROWSER = "--headless --no-sandbox --no-first-run --hide-scrollbars --window-size=1400,1400 --virtual-time-budget=20000"
SOFTWARE_3D = "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"


def main(log_dir, out_dir, *tabs):
    browser = shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("there is no Chromium on the path")
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    board = f"http://localhost:{port}"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", log_dir, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            with_data = tabs_with_data(board)
            for tab in tabs or with_data:
                picture = Path(out_dir).absolute() / f"{tab}.png"
                with tempfile.TemporaryDirectory() as profile:
                    options = [*BROWSER.split(), *SOFTWARE_3D.split(), f"--user-data-dir={profile}"]
                    command = [browser, *options, f"--screenshot={picture}", f"{board}/?darkMode=false#{tab}"]
                    subprocess.run(command, stderr=subprocess.DEVNULL, timeout=180, check=True)
                print(picture if picture.exists() else f"no picture of {tab}")
        finally:
            server.terminate()


def tabs_with_data(board):
    """Once all runs are loaded: the list does not grow any more."""
    tabs = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        before = tabs
        try:
            with urllib.request.urlopen(f"{board}/data/plugins_listing", timeout=10) as answer:
                tabs = [name for name, plugin in json.load(answer).items() if plugin["enabled"]]
        except OSError:  # it is starting
            pass
        if tabs and tabs == before:
            return tabs
        time.sleep(5 if tabs else 0.5)
    sys.exit(f"TensorBoard finds nothing to show, or does not answer at {board}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
