"""Draw boxes on images, with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFile, ImageFont  # noqa: F401, see video.py

from tbc import convert, dynamo
from tbc.kinds import images

Pixels = npt.NDArray[Any]

FAR_AWAY = 2**30  # pixels: Pillow converts coordinates to 32-bit integers
LARGEST = 2**16  # pixels: each side of a rescaled image must be smaller
LINE = 2  # pixels


def check(
    height: int, width: int, boxes: Pixels, labels: Sequence[str] | str | None, rescale: float
) -> tuple[Pixels, list[str] | None]:
    """Return copies of boxes and labels. Raises ValueError if they, or rescale, do not fit the image or each other.

    boxes: rows that start with xmin, ymin, xmax, ymax; further columns, such as a score, are ignored.
    """
    if boxes.size == 0:
        boxes = np.empty((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] < 4 or boxes.dtype.kind not in "biufO":
        raise ValueError(
            f"boxes must be rows of xmin, ymin, xmax, ymax, got an array of {boxes.dtype} and shape {boxes.shape}"
        )
    boxes = convert.real(boxes, "boxes")[:, :4].astype(np.float64)
    if not (np.abs(boxes) < FAR_AWAY).all():
        raise ValueError(f"boxes must be finite and between -{FAR_AWAY} and {FAR_AWAY} pixels, got {boxes!r}")
    if isinstance(labels, str):
        labels = [labels]
    texts = None if labels is None else list(map(str, convert.elements(labels, "labels")))
    rescale = convert.parameter(rescale, "rescale")
    if texts is not None and len(texts) != len(boxes):
        raise ValueError(f"there are {len(boxes)} boxes, but {len(texts)} labels: {texts!r}")
    if not all(1 <= side * rescale < LARGEST for side in (height, width)):
        raise ValueError(f"an image of {width} x {height} pixels cannot be rescaled by {rescale!r}")
    return boxes, texts


def on_image(pixels: Pixels, boxes: Pixels, labels: Sequence[str] | None, rescale: float) -> Pixels:
    """Return uint8 pixels (HWC) with red boxes and labels, then rescaled. boxes: in pixels before rescaling."""
    image = draw_boxes(Image.fromarray(images.colored(pixels)), boxes, labels)
    if rescale != 1:
        size = int(image.width * rescale), int(image.height * rescale)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)


@dynamo.untraced
def draw_boxes(disp_image: Image.Image, boxes: Any, labels: Sequence[str] | None = None) -> Image.Image:
    """Draw red boxes on a Pillow image, in place; each label is on red in the lower left corner of its box."""
    draw, font = ImageDraw.Draw(disp_image), ImageFont.load_default()
    for i, (left, top, right, bottom) in enumerate(boxes):
        corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
        draw.line(corners, fill="red", width=LINE)
        if labels is not None and labels[i]:
            x0, y0, x1, y1 = font.getbbox(labels[i])
            width, height = x1 - x0, y1 - y0
            margin = np.ceil(0.05 * height)
            draw.rectangle([(left, bottom - height - 2 * margin), (left + width, bottom)], fill="red")
            draw.text((left + margin, bottom - height - margin), labels[i], fill="black", font=font)
    return disp_image
