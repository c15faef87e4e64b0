"""Draw the chart of README: the CPU of some calls, and by how much logging slows a training loop."""

from matplotlib.figure import Figure

COLORS = {"torch": "#b8bcc2", "tensorboardX": "#80868f", "tbc": "#e8590c"}
CALLS = [
    "add_scalar",
    "add_scalars, 3 keys",
    "add_text",
    "add_histogram, 1,000 float32",
    "add_histogram, 1M float32",
    "add_image, 3x512x512 float32",
    "add_images, 16x3x64x64",
    "add_video, 16x3x64x64",
    "add_audio, 1 s",
    "add_pr_curve, 1M",
    "add_mesh, 10,000 points",
    "add_embedding, 1,000x128",
]
UNITS = {1: "1 µs", 1e3: "1 ms", 1e6: "1 s"}


def draw(results, path):
    figure = Figure(figsize=(9, 4.6), dpi=200, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    draw_calls(left, {row["name"]: row for row in results["calls"]})
    draw_training(right, results["training"])
    for axes in (left, right):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_axisbelow(True)
    figure.savefig(path)


def draw_calls(axes, rows):
    for k, (writer, color) in enumerate(COLORS.items()):
        ys = [y + 0.27 * (k - 1) for y, name in enumerate(CALLS) if writer in rows[name]]
        costs = [rows[name][writer]["cpu"] for name in CALLS if writer in rows[name]]
        axes.barh(ys, costs, 0.25, color=color, label=writer)
    for y, name in enumerate(CALLS):
        if "torch" in rows[name]:
            text = f" {rows[name]['ratios']['torch']:,.0f}x"
            axes.text(rows[name]["tbc"]["cpu"], y + 0.27, text, va="center", fontsize=7, color=COLORS["tbc"])
    axes.set_xscale("log")
    axes.set_xlim(0.1, 1e6)
    axes.set_xticks(list(UNITS), UNITS.values())
    axes.minorticks_off()
    axes.grid(axis="x", color="#e4e6e9")
    axes.set_yticks(range(len(CALLS)), CALLS, fontsize=8)
    axes.invert_yaxis()
    axes.set_title("CPU per call, and torch / tbc", fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def draw_training(axes, rows):
    slowdowns = [rows[writer]["slowdown, %"] for writer in COLORS]
    axes.barh(list(COLORS), slowdowns, 0.4, color=COLORS.values())
    for y, slowdown in enumerate(slowdowns):
        text = f" +{slowdown:.{0 if slowdown >= 10 else 1}f}%"
        axes.text(slowdown, y, text, va="center", fontsize=9)
    axes.set_xlim(0, 1.3 * max(slowdowns))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", labelsize=8)
    axes.invert_yaxis()
    step = rows["nothing"]["ms a step"]
    axes.set_title("Training is slowed by", fontsize=10, loc="left")
    axes.set_xlabel(f"steps of {step:.0f} ms, each logging\n50 scalars and 10 histograms", fontsize=8)
