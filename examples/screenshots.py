"""Open runs in TensorBoard in a headless browser, and take a picture of every tab that has data.

    python examples/screenshots.py LOG_DIR OUT_DIR [TAB ...]

Needs tensorboard, and Chromium on the path (on Debian: apt install chromium fonts-dejavu). A picture takes about 15
seconds, or 30 if it is drawn in three dimensions without a graphics card.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BROWSER = "--headless --no-sandbox --no-first-run --hide-scrollbars"
SOFTWARE_3D = "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
SECONDS = 10  # to wait for a page to draw everything
SLOW_PICTURE = b'<img src="/slow" style="display: none"></body>'


def main(log_dir, out_dir, *tabs):
    Path(out_dir).mkdir(parents=True, exist_ok=True)
    with tensorboard(log_dir) as board:
        with_data = tabs_with_data(board)
        for tab in tabs or with_data:
            picture = Path(out_dir, f"{tab}.png")
            take(picture, board, tab)
            print(picture if picture.exists() else f"no picture of {tab}")


@contextmanager
def tensorboard(log_dir):
    """Start TensorBoard; yield its URL."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", log_dir, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield f"http://localhost:{port}"
        finally:
            server.terminate()


def take(picture, board, tab, width=1400, height=1400, script=b""):
    """Take a picture of a tab.

    tab: its name, which may have options, such as "scalars&tagFilter=loss". script: HTML to put at the end of the page.

    The browser takes the picture when the page and all its images are loaded. So the page gets an image that is slow.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome") or sys.exit("there is no Chromium on the path")

    class Page(BaseHTTPRequestHandler):
        def do_GET(self, data=None):
            if self.path == "/slow":
                time.sleep(SECONDS)
                return self.send_error(404)
            headers = {"Content-Type": self.headers["Content-Type"]} if data else {}
            with urllib.request.urlopen(urllib.request.Request(board + self.path, data, headers)) as answer:
                body = answer.read().replace(b"</body>", script + SLOW_PICTURE)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers["Content-Type"])
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("localhost", 0), Page) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = [*BROWSER.split(), *SOFTWARE_3D.split(), f"--user-data-dir={profile}"]
        options += [f"--window-size={width},{height}", f"--screenshot={Path(picture).absolute()}"]
        url = f"http://localhost:{server.server_port}/?darkMode=false#{tab}"
        subprocess.run([browser, *options, url], stderr=subprocess.DEVNULL, timeout=180, check=True)
        server.shutdown()


def tabs_with_data(board):
    """Wait until all runs are loaded, which is when the list of tabs stops changing; return the tabs with data."""
    tabs = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        before = tabs
        try:
            with urllib.request.urlopen(f"{board}/data/plugins_listing", timeout=10) as answer:
                tabs = [name for name, plugin in json.load(answer).items() if plugin["enabled"]]
        except OSError:  # TensorBoard is still starting
            pass
        if tabs and tabs == before:
            return tabs
        time.sleep(5 if tabs else 0.5)
    sys.exit(f"TensorBoard finds nothing to show, or does not answer at {board}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
