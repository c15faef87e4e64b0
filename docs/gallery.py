"""Make the pictures of docs/gallery: the tabs of TensorBoard, and what the code of docs/guide.md logs.

    python docs/gallery.py

Needs what examples/screenshots.py needs, and what the demo and the guide import.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
import digits
import screenshots

ROOT = Path(__file__).parent.parent

OF_MANY = ["timeseries", "scalars", "custom_scalars", "pr_curves", "hparams"]
OF_ONE = ["images", "audio", "histograms", "distributions", "text", "mesh", "projector"]

GUIDE = {  # name of a picture in the guide -> the tab, and the width and height to cut out
    "scalars": ("scalars&tagFilter=loss", 450, 400),
    "scalars-together": ("scalars&tagFilter=both", 450, 400),
    "histograms": ("histograms&tagFilter=weights", 450, 360),
    "images": ("images&tagFilter=scans", 800, 540),
    "figure": ("images&tagFilter=figure", 450, 480),
    "audio": ("audio&tagFilter=sound", 800, 240),
    "text": ("text", 890, 570),
    "pr_curves": ("pr_curves", 640, 480),
    "mesh": ("mesh", 890, 880),
    "projector": ("projector", 1200, 900),
    "hparams": ("hparams", 1200, 300),
    "custom_scalars": ("custom_scalars", 800, 360),
}

OPEN_THE_MODEL = b"""<script>
function all(root, css) {
  const inner = [...root.querySelectorAll("*")].filter(element => element.shadowRoot);
  return [...root.querySelectorAll(css), ...inner.flatMap(element => all(element.shadowRoot, css))];
}
setTimeout(() => {
  const [box] = all(document, '[data-name="Sequential"] > .nodeshape > *');
  box.dispatchEvent(new MouseEvent("dblclick", {bubbles: true, composed: true}));
}, 5000);
setInterval(() => {
  for (const [where] of [all(document, "#svg"), all(document, "#fit")])
    where?.dispatchEvent(new MouseEvent("click", {bubbles: true, composed: true}));
}, 1500);
</script>"""


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        digits.train("one/digits")
        for units in (4, 16, 64):
            digits.CONFIG["hidden units"] = units
            digits.train(f"many/{units} hidden units")
        for log_dir, tabs in (("many", OF_MANY), ("one", OF_ONE)):
            with screenshots.tensorboard(log_dir) as board:
                screenshots.tabs_with_data(board)
                for tab in tabs:
                    shrink(shot(board, tab, 900), tab)
        subprocess.run([sys.executable, ROOT / "tests" / "helpers" / "pages.py", "docs/guide.md"], check=True)
        with screenshots.tensorboard("runs") as board:
            screenshots.tabs_with_data(board)
            for name, (tab, width, height) in GUIDE.items():
                left, top = (0, 66) if tab in ("hparams", "projector") else (306, 78)
                shrink(shot(board, tab, 1000).crop((left, top, left + width, top + height)), f"guide-{name}")
            shrink(shot(board, "graphs", 900, OPEN_THE_MODEL), "graphs")


def shot(board, tab, height, script=b""):
    screenshots.take("page.png", board, tab, 1200, height, script)
    return Image.open("page.png").convert("RGB")


def shrink(picture, name):
    """Save a picture to the gallery, with 64 colors."""
    picture.quantize(64, dither=Image.Dither.NONE).save(ROOT / "docs" / "gallery" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
