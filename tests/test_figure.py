"""add_figure: the pixels of matplotlib figures compared to torch's, and what happens to the figures."""

import io
import sys

import numpy as np
import pytest
from helpers.oracle import log_one, only_value
from PIL import Image

import tbc
from tbc.kinds import images

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    pyplot.close("all")


def draw(figure, slope=1):
    figure.subplots().plot([0, slope], color="red")
    return figure


def pixels_of(image):
    pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert pixels.shape == (image.height, image.width, image.colorspace)
    return pixels


def log_figure(log_dir, figure, **options):
    return log_one(log_dir, tbc.SummaryWriter.add_figure, figure, **options).image


def torch_pixels(figure, **options):
    return pytest.importorskip("torch.utils.tensorboard._utils").figure_to_image(figure, **options)


@pytest.mark.parametrize("size", [(3, 2), (1, 4), (2.345, 1.999)])
@pytest.mark.parametrize("dpi", [50, 100])
def test_a_figure_has_torchs_pixels(log_dir, size, dpi):
    figure = draw(pyplot.figure(figsize=size, dpi=dpi, facecolor="lime"))
    ours = pixels_of(log_figure(log_dir, figure, close=False))
    np.testing.assert_array_equal(ours, torch_pixels(figure).transpose(1, 2, 0))
    assert len(np.unique(ours.reshape(-1, 3), axis=0)) > 3  # the figure is not blank


def test_a_list_is_a_grid(log_dir):
    figures = [draw(pyplot.figure(figsize=(2, 1), dpi=50), slope) for slope in range(10)]
    ours = pixels_of(log_figure(log_dir, figures, close=False))
    assert ours.shape == (2 * 50, 8 * 100, 3)
    want = images.to_hwc(torch_pixels(figures), "NCHW").pixels()[0]
    np.testing.assert_array_equal(ours, want)


def test_a_figure_without_pyplot(log_dir):
    assert pixels_of(log_figure(log_dir, draw(Figure(figsize=(2, 1), dpi=50)))).shape == (50, 100, 3)


@pytest.mark.parametrize("close", [True, False])
def test_figures_are_closed_if_asked(log_dir, close):
    one, two, other = (draw(pyplot.figure(figsize=(2, 1))) for _ in range(3))
    log_figure(log_dir, one, close=close)
    log_figure(log_dir + "2", [two], close=close)
    assert [pyplot.fignum_exists(figure.number) for figure in (one, two, other)] == [not close, not close, True]


def test_figures_are_closed_by_default(log_dir):
    figure = draw(pyplot.figure())
    log_figure(log_dir, figure)
    assert not pyplot.fignum_exists(figure.number)


def test_the_canvas_of_the_figure_is_restored(log_dir, monkeypatch):
    figure = draw(pyplot.figure())
    canvas = FigureCanvasSVG(figure)
    log_figure(log_dir, figure, close=False)
    assert figure.canvas is canvas

    def fail(renderer):
        raise RuntimeError("no ink")

    figure.draw = fail
    with tbc.SummaryWriter(log_dir + "2") as writer, pytest.raises(RuntimeError, match="no ink"):
        writer.add_figure("figure", figure)
    assert figure.canvas is canvas
    assert pyplot.fignum_exists(figure.number)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: [Figure(figsize=(2, 1)), Figure(figsize=(1, 2))], ValueError, "one size"),
        (lambda: [], ValueError, "one size"),
        (lambda: [Figure(), None], TypeError, "None"),
        (lambda: (Figure(),), TypeError, "tuple"),
        (lambda: draw(Figure()).axes[0], TypeError, "Axes"),
        (lambda: np.zeros((3, 4, 5)), TypeError, "ndarray"),
    ],
)
def test_what_is_no_figure_is_told_at_once(log_dir, make, error, words):
    with tbc.SummaryWriter(log_dir) as writer:
        with pytest.raises(error, match=words):
            writer.add_figure("figure", make())
        writer.add_scalar("fine", 1)
    assert only_value(log_dir)[1].tag == "fine"


def test_matplotlib_may_be_missing(log_dir, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with tbc.SummaryWriter(log_dir) as writer, pytest.raises(ImportError, match=r"tbc\[figure\]"):
        writer.add_figure("figure", object())


def test_the_figure_is_that_of_the_call(log_dir):
    """The figure is encoded later; the caller may change it after the call."""
    figure = draw(Figure(figsize=(1, 1), dpi=20))
    with tbc.SummaryWriter(log_dir) as writer:
        writer.add_figure("figure", figure)
        figure.clear()
    assert len(np.unique(pixels_of(only_value(log_dir)[1].image))) > 1
