"""patch_torch, patch_tensorboardx, python -m tbc and tbc.pth. Each test runs in a process of its own."""

import importlib.util
import io
import os
import subprocess
import sys
import sysconfig

import pytest
from helpers.oracle import run_script
from PIL import Image

from tbc.proto import HParamsPluginData
from tbc.reader import find_event_files, load_runs, read_events

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch")
needs_tensorboardx = pytest.mark.skipif(importlib.util.find_spec("tensorboardX") is None, reason="tensorboardX")
HERE = os.path.dirname(__file__)
PTH = os.path.join(sysconfig.get_path("purelib"), "tbc.pth")
needs_pth = pytest.mark.skipif(not os.path.exists(PTH), reason="an editable install has no tbc.pth")

WITHOUT_TENSORBOARD = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorboard":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def python(*words, environment=(), cwd=HERE):
    """Run Python with no TBC_PATCH_* variables except those of `environment`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TBC_PATCH_")}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(
        command, env=inherited | dict(environment), cwd=cwd, capture_output=True, text=True, timeout=60
    )


def logged(log_dir):
    """Return the events of every run, without times and without the compression of images."""
    events = {}
    for path in sorted(find_event_files(log_dir)):
        run = events.setdefault(os.path.relpath(os.path.dirname(path), log_dir), [])
        for event in read_events(path):
            event.wall_time = 0
            event.ClearField("source_metadata")
            for value in event.summary.value:
                if value.HasField("image"):
                    file = value.image.encoded_image_string
                    value.image.encoded_image_string = Image.open(io.BytesIO(file)).tobytes()
                plugin = value.metadata.plugin_data
                if plugin.plugin_name == "hparams":
                    data = HParamsPluginData.FromString(plugin.content)
                    for session in (data.session_start_info, data.session_end_info):
                        for field in ("start_time_secs", "end_time_secs"):
                            session.ClearField(field) if field in session.DESCRIPTOR.fields_by_name else None
                    plugin.content = data.SerializeToString(deterministic=True)
            run.append(event)
    return events


@needs_torch
def test_every_import_before_and_after_gets_tbcs_writer(tmp_path):
    (tmp_path / "early.py").write_text(
        "import torch.utils.tensorboard as package\n"
        "from torch.utils.tensorboard import SummaryWriter\n"
        "from torch.utils.tensorboard.writer import FileWriter as Files\n"
        "from torch.utils.tensorboard.summary import hparams, video, make_image\n"
    )
    script = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import early, tbc
        before = {name: getattr(early, name) for name in ("SummaryWriter", "Files", "hparams", "video", "make_image")}
        patch = tbc.patch_torch()
        import torch.utils.tensorboard
        from torch.utils.tensorboard import FileWriter, SummaryWriter, summary, writer
        assert early.SummaryWriter is SummaryWriter is writer.SummaryWriter is torch.utils.tensorboard.SummaryWriter
        assert early.Files is FileWriter is writer.FileWriter
        assert issubclass(SummaryWriter, tbc.SummaryWriter) and issubclass(FileWriter, tbc.FileWriter)
        assert early.hparams is summary.hparams and early.hparams.__module__ == "tbc.summary"
        assert early.make_image is before["make_image"]  # tbc has none
        with SummaryWriter(sys.argv[1]) as w:
            assert type(w.file_writer) is FileWriter and w._get_file_writer() is w.file_writer
        patch.undo()
        assert {name: getattr(early, name) for name in before} == before
        from torch.utils.tensorboard import SummaryWriter
        assert SummaryWriter is before["SummaryWriter"] is writer.SummaryWriter
    """
    run_script(script, tmp_path)


@needs_torch
def test_before_the_import_nothing_is_imported(tmp_path):
    script = """
        import sys, tbc
        patch = tbc.patch_torch()
        assert not {"torch", "tensorboard", "numpy", "google.protobuf"} & set(sys.modules)
        import torch
        assert "torch.utils.tensorboard" not in sys.modules and "numpy" in sys.modules
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.writer import SummaryWriter as Same
        assert issubclass(SummaryWriter, tbc.SummaryWriter) and Same is SummaryWriter
        module = sys.modules["torch.utils.tensorboard"]
        assert type(module.__spec__.loader).__name__ == type(module.__loader__).__name__ == "SourceFileLoader"
    """
    run_script(script, tmp_path)


@needs_torch
def test_undone_before_the_import(tmp_path):
    script = """
        import sys, tbc.patching
        finders = list(sys.meta_path)
        with tbc.patch_torch():
            assert sys.meta_path != finders
        assert sys.meta_path == finders
        from torch.utils.tensorboard import SummaryWriter
        assert not issubclass(SummaryWriter, tbc.SummaryWriter)
    """
    run_script(script)


@needs_torch
def test_the_last_of_several_patches_undoes(tmp_path):
    script = """
        import sys, tbc.patching, tbc.writer
        import torch.utils.tensorboard as package
        original, finders = [package.SummaryWriter], list(sys.meta_path)  # in lists, which no patch changes
        for_all = tbc.patch_torch()
        patched = [package.SummaryWriter]
        with tbc.patch_torch() as patch:
            assert [package.SummaryWriter] == patched
        patch.undo()  # a second undo does nothing
        assert [package.SummaryWriter] == patched
        for_all.undo()
        assert [package.SummaryWriter] == original and sys.meta_path == finders
        with tbc.patch_torch():
            assert issubclass(package.SummaryWriter, tbc.SummaryWriter)
        assert [package.SummaryWriter] == original
    """
    run_script(script)


@needs_torch
def test_isinstance_holds_between_all(tmp_path):
    script = """
        import sys, abc, inspect, tbc
        from torch.utils import tensorboard
        originals = [tensorboard.SummaryWriter, tensorboard.FileWriter]  # in a list, which no patch changes
        old = tensorboard.SummaryWriter(sys.argv[1] + "/old")
        tbc.patch_torch()
        Patched, Files = tensorboard.SummaryWriter, tensorboard.FileWriter
        new, ours = Patched(sys.argv[1] + "/new"), tbc.SummaryWriter(sys.argv[1] + "/ours")
        off = Patched(sys.argv[1] + "/off", enabled=False)
        for writer in (new, ours, old, off):
            assert isinstance(writer, Patched) and issubclass(type(writer), Patched)
            assert isinstance(writer.file_writer, Files)
        for writer in (new, old):
            assert isinstance(writer, originals[0]) and isinstance(writer.file_writer, originals[1])
        assert isinstance(new, tbc.SummaryWriter) and not isinstance("", Patched) and not issubclass(str, Patched)

        class Mine(Patched, abc.ABC):
            def add_scalar(self, *arguments, **keywords):
                super().add_scalar(*arguments, **keywords)
        mine = Mine(sys.argv[1] + "/mine")
        mine.add_scalar("x", 1)
        assert isinstance(mine, Mine) and isinstance(mine, Patched) and isinstance(mine, originals[0])
        assert not isinstance(new, Mine) and not isinstance(old, Mine) and not issubclass(originals[0], Mine)
        assert inspect.signature(Patched.__init__) == inspect.signature(tbc.SummaryWriter.__init__)
        assert Patched.__init__.__code__.co_varnames[1] == "log_dir" and Patched.__name__ == "SummaryWriter"
        for writer in (old, new, ours, mine):
            writer.close()
    """
    run_script(script, tmp_path)
    runs = load_runs(tmp_path)
    assert runs["mine"].scalars["x"].value == [1]


@needs_torch
def test_a_writer_that_was_made_before_goes_on(tmp_path):
    script = """
        import sys, numpy as np, tbc
        from torch.utils.tensorboard import SummaryWriter
        old = SummaryWriter(sys.argv[1])
        tbc.patch_torch()
        old.add_scalar("scalar", 2, new_style=True)
        old.add_scalars("scalars", {"a": 1}, 1)
        old.add_hparams({"lr": 1}, {"m": 2}, run_name="trial")
        old.add_histogram("histogram", np.arange(9.0), 1)
        old.add_histogram("max_bins", np.arange(9.0), 1, bins="auto", max_bins=4)
        old.add_image("image", np.zeros((3, 2, 2)))
        old.add_images("images", np.zeros((2, 3, 2, 2)))
        old.add_image_with_boxes("boxes", np.zeros((3, 9, 9)), np.array([[1, 1, 5, 5]]), labels=["a"])
        old.add_video("video", np.zeros((1, 2, 3, 4, 4)))
        old.add_audio("audio", np.zeros(9))
        old.add_text("text", "hello")
        old.add_pr_curve("curve", np.array([0, 1]), np.array([0.1, 0.9]))
        old.add_mesh("mesh", np.zeros((1, 2, 3)))
        old.add_custom_scalars_multilinechart(["a"])
        old.close()
    """
    run_script(script, tmp_path)
    runs = load_runs(tmp_path)
    assert runs.keys() == {".", "scalars_a", "trial"}
    tags = {tag for kinds in runs["."].values.values() for tag in kinds} | runs["."].scalars.keys()
    assert tags >= {"scalar", "histogram", "max_bins", "image", "images", "boxes", "video", "audio", "curve"}
    assert runs["."].values["image"]["video"][-1].image().n_frames == 2  # torch's writer cannot encode this video


@needs_torch
def test_a_class_that_was_derived_before_is_told_of():
    script = """
        import warnings, tbc
        from torch.utils.tensorboard import SummaryWriter
        class Early(SummaryWriter):
            pass
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tbc.patch_torch().undo()
            tbc.patch_torch()
        assert {str(warning.message).partition(" ")[0] for warning in caught} == {"__main__.Early"}
        assert caught[0].filename == "<string>"
    """
    run_script(script)


@needs_torch
def test_messages_are_tensorboards(tmp_path):
    script = """
        import sys, tbc, numpy as np
        tbc.patch_torch()
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from torch.utils.tensorboard import FileWriter, summary
        message = summary.scalar("loss", 0.5)
        event_pb2.Event(summary=message)
        parts = summary.hparams({"lr": 0.1, "fast": True}, {"loss": 1})
        assert [type(part) for part in parts] == [summary_pb2.Summary] * 3
        assert isinstance(summary.compute_curve(np.array([0, 1]), np.array([0.1, 0.9])), np.ndarray)
        files = FileWriter(sys.argv[1])
        files.add_summary(message, 3)
        files.add_event(event_pb2.Event(summary=parts[0]))
        files.close()
    """
    run_script(script, tmp_path)
    (run,) = load_runs(tmp_path).values()
    assert (run.scalars["loss"].step, run.scalars["loss"].value) == ([3], [0.5])


def test_without_torch_importing_it_fails_as_ever():
    script = """
        import sys, tbc
        tbc.patch_torch()
        tbc.patch_tensorboardx()
        sys.modules["torch"] = sys.modules["tensorboardX"] = None
        for name in ("torch.utils.tensorboard", "tensorboardX"):
            try:
                __import__(name)
            except ModuleNotFoundError as error:
                assert error.name in ("torch", "tensorboardX", "torch.utils"), error.name
            else:
                raise AssertionError(name)
    """
    run_script(script)


@needs_torch
def test_without_tensorboard_tbc_stands_in(tmp_path):
    script = (
        WITHOUT_TENSORBOARD
        + """
import tbc, torch
patch = tbc.patch_torch()
from torch.utils.tensorboard import FileWriter, SummaryWriter
from torch.utils.tensorboard.summary import hparams
import torch.utils.tensorboard.writer
from torch.utils import tensorboard
assert tensorboard.SummaryWriter is torch.utils.tensorboard.writer.SummaryWriter is SummaryWriter is tbc.SummaryWriter
with SummaryWriter(sys.argv[1]) as writer:
    writer.add_scalar("loss", torch.tensor(0.5), 1)
    for message in hparams({"lr": 0.1}, {"loss": 0}):
        writer.file_writer.add_summary(message)
assert all(module.__spec__ for module in (tensorboard, tensorboard.writer, tensorboard.summary))
patch.undo()
try:
    from torch.utils import tensorboard
except ImportError:
    pass
else:
    raise AssertionError(tensorboard)
for name in ("torch.utils.tensorboard", "torch.utils.tensorboard.writer", "torch.utils.tensorboard.summary"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert error.name == "tensorboard", error
    else:
        raise AssertionError(name)
"""
    )
    run_script(script, tmp_path)
    (run,) = load_runs(tmp_path).values()
    assert run.scalars["loss"].value == [0.5]
    assert run.hparams == {"lr": 0.1}


@needs_torch
def test_another_error_of_the_import_passes(tmp_path):
    script = """
        import sys, tbc
        sys.modules["torch.utils.tensorboard.writer"] = None
        tbc.patch_torch()
        try:
            import torch.utils.tensorboard
        except ModuleNotFoundError as error:
            assert error.name == "torch.utils.tensorboard.writer"
        else:
            raise AssertionError
    """
    run_script(script)


@needs_torch
def test_a_pickled_writer_needs_no_patch(tmp_path):
    script = """
        import pickle, sys, tbc
        with tbc.patch_torch():
            from torch.utils.tensorboard import SummaryWriter
            writer = SummaryWriter(sys.argv[1])
            data = pickle.dumps(writer)
            writer.close()
        copy = pickle.loads(data)
        assert type(copy) is tbc.SummaryWriter
        copy.add_scalar("x", 1)
        copy.close()
    """
    run_script(script, tmp_path)
    (run,) = load_runs(tmp_path).values()
    assert run.scalars["x"].value == [1]


@needs_torch
def test_a_patched_training_logs_what_torchs_writer_logs(tmp_path):
    """The whole way from torch's import to the files, with what frameworks do to the writer."""
    script = """
        import sys
        if sys.argv[2] == "tbc":
            import tbc
            tbc.patch_torch()
        import functools, numpy as np, torch
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams
        random = np.random.default_rng(0)
        writer = SummaryWriter(log_dir=sys.argv[1])
        writer.add_scalar = functools.partial(writer.add_scalar, new_style=True)
        for step in range(9):
            writer.add_scalar("loss", torch.tensor(1 / (1 + step)), step)
            writer.add_scalars("both", {"a": step, "b": -step}, step)
            writer.add_histogram("weights", torch.tensor(random.integers(-99, 99, 100) / 8), step)
        for message in hparams({"lr": 0.1, "opt": "adam"}, {"loss": 0}):
            writer._get_file_writer().add_summary(message, 3)
        writer.add_text("text", "hello")
        writer.add_custom_scalars({"c": {"both": ["Multiline", ["both"]]}})
        writer.add_image("image", random.random((3, 8, 8)), 1)  # logged last: another thread encodes it
        assert writer.file_writer.event_writer._file_name.startswith(sys.argv[1])
        assert list(writer.all_writers)[0] == writer.get_logdir() == sys.argv[1]
        writer.close()
        assert writer.file_writer is None and writer.all_writers is None
    """
    for name in ("torch", "tbc"):
        run_script(script, tmp_path / name, name)
    theirs, ours = logged(tmp_path / "torch"), logged(tmp_path / "tbc")
    assert theirs.keys() == ours.keys() == {".", "both_a", "both_b"}
    for run, events in theirs.items():
        assert events == ours[run]


@needs_torch
def test_a_patch_that_fails_changes_nothing(tmp_path):
    script = """
        import sys, types, warnings, tbc
        sys.modules["torch.utils.tensorboard"] = types.ModuleType("torch.utils.tensorboard")  # as tests may do
        sys.modules["torch.utils.tensorboard"].__path__ = []
        tbc.patch_torch().undo()  # it finds no writers
        del sys.modules["torch.utils.tensorboard"]
        from torch.utils.tensorboard import SummaryWriter
        assert not issubclass(SummaryWriter, tbc.SummaryWriter)

        class Early(SummaryWriter):
            pass
        finders = list(sys.meta_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                tbc.patch_torch()
            except UserWarning:
                from torch.utils.tensorboard import SummaryWriter
                assert not issubclass(SummaryWriter, tbc.SummaryWriter) and sys.meta_path == finders
            else:
                raise AssertionError
            warnings.simplefilter("ignore")
            tbc.patch_torch()
        from torch.utils.tensorboard import SummaryWriter
        assert issubclass(SummaryWriter, tbc.SummaryWriter)
    """
    run_script(script)


@needs_torch
def test_patches_of_many_threads():
    script = """
        import sys, threading, tbc
        from torch.utils import tensorboard
        sys.setswitchinterval(1e-6)
        original, unpatched = [tensorboard.SummaryWriter], []
        def work():
            for _ in range(30):
                with tbc.patch_torch():
                    if not issubclass(tensorboard.SummaryWriter, tbc.SummaryWriter):
                        unpatched.append(1)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not unpatched, len(unpatched)
        assert [tensorboard.SummaryWriter] == original
    """
    run_script(script)


@needs_torch
def test_what_others_do_to_imports(tmp_path):
    """Finders call other finders, loaders are wrapped, packages are imported again. Lazy modules stay unloaded."""
    (tmp_path / "lazy.py").write_text("raise AssertionError('loaded')\n")
    script = """
        import importlib, importlib.util, sys, warnings, tbc
        warnings.simplefilter("ignore", ImportWarning)
        class Asking:
            busy = False
            def find_spec(self, name, path=None, target=None):
                if name == "torch.utils.tensorboard" and not self.busy:
                    self.busy = True
                    try:
                        finders = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]
                        return next(filter(None, (f.find_spec(name, path, target) for f in finders)), None)
                    finally:
                        self.busy = False
        class Old:
            def find_module(self, name, path=None):
                return None
        sys.meta_path[:0] = [Old()] * (sys.version_info < (3, 12)) + [Asking()]
        patch = tbc.patch_torch()
        import torch
        found = importlib.util.find_spec("torch.utils.tensorboard")
        assert found.loader.is_package(found.name) and "SummaryWriter" in found.loader.get_source(found.name)
        for _ in range(2):
            from torch.utils.tensorboard import SummaryWriter
            assert issubclass(SummaryWriter, tbc.SummaryWriter)
            for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
                del sys.modules[name]
        import torch.utils.tensorboard as again
        patch.undo()
        assert not issubclass(again.SummaryWriter, tbc.SummaryWriter)

        spec = importlib.util.spec_from_file_location("lazy", sys.argv[1] + "/lazy.py")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        sys.modules["lazy"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["lazy"])
        with tbc.patch_torch():
            assert issubclass(again.SummaryWriter, tbc.SummaryWriter)
    """
    run_script(script, tmp_path)


IMPORTED_AGAIN = """
import importlib, sys, warnings, tbc
from importlib import import_module
package, summary, submodules = sys.argv[1], sys.argv[2], sys.argv[3].split()
patch_package = tbc.patch_torch if package == "torch.utils.tensorboard" else tbc.patch_tensorboardx
FUNCTIONS = ("scalar", "hparams", "histogram") if package == "torch.utils.tensorboard" else ()
warnings.simplefilter("error")

def check(patched):
    modules = [import_module(name) for name in (package, *submodules)]
    for module in modules:
        for name in {"FileWriter", "SummaryWriter", "GlobalSummaryWriter"} & vars(module).keys():
            kind = vars(module)[name]
            assert any(base.__module__.startswith("tbc.") for base in kind.__mro__) == patched, (module, name)
            assert patched or type(kind) is type, (module, name)
    for name in FUNCTIONS:
        for module in (modules[1], import_module(summary)):
            assert getattr(module, name).__module__ == ("tbc.summary" if patched else summary), (module, name)
            assert "__wrapped__" not in vars(getattr(getattr(module, name), "__wrapped__", check)), (module, name)

def again():
    for name in (package, summary, *submodules, package):
        importlib.reload(import_module(name))
        yield name
    for names in ([package], *([name] for name in submodules), [summary, package], [package, summary, *submodules]):
        for name in names:
            del sys.modules[name]
        for name in names:
            import_module(name)
        yield names
"""
PACKAGES = [
    pytest.param(
        *("torch.utils.tensorboard", "torch.utils.tensorboard.summary", "torch.utils.tensorboard.writer"),
        marks=needs_torch,
    ),
    pytest.param(
        *("tensorboardX", "tensorboardX.summary", "tensorboardX.writer tensorboardX.global_writer"),
        marks=needs_tensorboardx,
    ),
]


@pytest.mark.parametrize(("package", "summary", "submodules"), PACKAGES)
def test_a_package_that_is_imported_again_stays_patched(package, summary, submodules):
    script = """
import_module(package)
for patched in (False, True):  # patched after the import, and before the second one
    patch = patch_package()
    for what in again():
        check(True)
        with patch_package():
            check(True)
        check(True)
    patch.undo()
    check(False)
    for what in again():
        check(False)
    for what in again():  # one patch each
        with patch_package():
            check(True)
        check(False)
"""
    run_script(IMPORTED_AGAIN + script, package, summary, submodules)


@pytest.mark.parametrize(("package", "summary", "submodules"), PACKAGES)
def test_undo_reaches_a_module_that_was_imported_again(package, summary, submodules):
    """A module removed from sys.modules also gets its classes back: its parent may still refer to it."""
    script = """
before = import_module(package)
own = [before.SummaryWriter]  # in a list, which no patch changes
patch = patch_package()
del sys.modules[package]
after = import_module(package)
assert after is not before and issubclass(after.SummaryWriter, tbc.SummaryWriter)
patched = [after.SummaryWriter]
importlib.reload(after)
assert [after.SummaryWriter] == patched
patch.undo()
assert [before.SummaryWriter] == [after.SummaryWriter] == own
"""
    run_script(IMPORTED_AGAIN + script, package, summary, submodules)


@needs_torch
def test_a_stand_in_that_is_imported_again():
    script = (
        WITHOUT_TENSORBOARD
        + """
import importlib, tbc
from importlib import import_module
NAMES = [f"torch.utils.tensorboard{name}" for name in ("", ".summary", ".writer")]
for reverse in (False, True):
    patch = tbc.patch_torch()
    import torch.utils.tensorboard
    for names in (NAMES, *([name] for name in NAMES)):
        for remove in (False, True):
            for name in names:
                if remove:
                    del sys.modules[name]
                else:
                    importlib.reload(import_module(name))
            package, summary, writer = map(import_module, NAMES)
            assert package.SummaryWriter is writer.SummaryWriter is tbc.SummaryWriter
            assert package.FileWriter is writer.FileWriter is tbc.FileWriter
            assert summary.scalar is tbc.summary.scalar
    patch.undo()
    assert not set(NAMES) & set(sys.modules) and not hasattr(torch.utils, "tensorboard")
    try:
        import torch.utils.tensorboard
    except ModuleNotFoundError as error:
        assert error.name == "tensorboard", error
    else:
        raise AssertionError
"""
    )
    run_script(script)


@needs_torch
@pytest.mark.parametrize("name", ["torch.utils.tensorboard", "torch.utils.tensorboard.writer"])
def test_what_a_finder_gave_under_a_patch_patches_no_more(name):
    script = """
        import importlib.util, sys, tbc, torch.utils.tensorboard
        patch = tbc.patch_torch()
        del sys.modules[sys.argv[1]]
        spec = importlib.util.find_spec(sys.argv[1])
        patch.undo()
        module = sys.modules[sys.argv[1]] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert not issubclass(module.SummaryWriter, tbc.SummaryWriter)
    """
    run_script(script, name)


@needs_tensorboardx
def test_tensorboardx(tmp_path):
    script = """
        import sys, tbc
        patch = tbc.patch_tensorboardx()
        assert not {"tensorboardX", "numpy", "google.protobuf"} & set(sys.modules)
        from tensorboardX import FileWriter, GlobalSummaryWriter, SummaryWriter
        import tensorboardX.writer
        from tensorboardX.summary import hparams
        from tbc.compat import tensorboardx
        assert tensorboardX.writer.SummaryWriter is tensorboardX.SummaryWriter is SummaryWriter
        for name in ("FileWriter", "GlobalSummaryWriter", "SummaryWriter"):
            assert issubclass(getattr(tensorboardX, name), getattr(tensorboardx, name)), name
        assert isinstance(tensorboardx.SummaryWriter(sys.argv[1] + "/theirs").file_writer, tensorboardX.FileWriter)
        with SummaryWriter(sys.argv[1], flush_secs=30) as writer:  # as Ray does
            writer.add_scalar("ray/tune/loss", 0.5, global_step=3)
            writer.file_writer.add_summary(hparams({"lr": 0.1}, {"loss": 0})[0])
            assert type(writer.file_writer) is FileWriter and writer.logdir == sys.argv[1]
            assert isinstance(tensorboardx.SummaryWriter(sys.argv[1] + "/other"), SummaryWriter)
        shared = GlobalSummaryWriter(sys.argv[1] + "/global")
        shared.add_scalar("x", 1)
        shared.close()
        patch.undo()
        assert not issubclass(tensorboardX.SummaryWriter, tbc.SummaryWriter)
        assert not issubclass(tensorboardX.writer.FileWriter, tbc.FileWriter)
    """
    run_script(script, tmp_path)
    runs = load_runs(tmp_path)
    assert runs["."].scalars["ray/tune/loss"].value == [0.5]
    assert runs["global"].scalars["x"].step == [0]


def test_a_program_runs_as_by_python(tmp_path):
    program = tmp_path / "train.py"
    program.write_text("import sys, neighbour\nprint(__name__, __file__, sys.argv, sys.path[0])\nsys.exit(3)\n")
    (tmp_path / "neighbour.py").write_text("")
    plain = python(program, "--lr", "1")
    ours = python("-m", "tbc", program, "--lr", "1")
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout) == (3, plain.stdout)
    as_module = python("-m", "tbc", "-m", "train", "--lr", "1", cwd=tmp_path)
    plain = python("-m", "train", "--lr", "1", cwd=tmp_path)
    assert (as_module.returncode, as_module.stdout) == (3, plain.stdout)


def test_a_programs_main_stays_to_the_end(tmp_path):
    program = tmp_path / "train.py"
    program.write_text(
        "import pickle, threading, time\n"
        "class Result: pass\n"
        "def work():\n"
        "    time.sleep(0.3)\n"
        "    print(type(pickle.loads(pickle.dumps(Result()))).__module__)\n"
        "threading.Thread(target=work).start()\n"
    )
    result = python("-m", "tbc", program)
    assert (result.stdout, result.stderr) == ("__main__\n", "")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text("print('a package', __name__)\n")
    assert python("-m", "tbc", tmp_path / "package").stdout == "a package __main__\n"


@needs_torch
def test_a_program_is_patched(tmp_path):
    program = tmp_path / "train.py"
    program.write_text(
        "import os, sys\n"
        "from torch.utils.tensorboard import SummaryWriter\n"
        "print([kind.__module__ for kind in SummaryWriter.__mro__[:2]], os.environ.get('TBC_PATCH_TORCH'))\n"
    )
    assert "tbc" not in python(program).stdout
    assert python("-m", "tbc", program).stdout == "['torch.utils.tensorboard.writer', 'tbc.writer'] 1\n"
    assert "tbc" not in python("-m", "tbc", program, environment={"TBC_PATCH_TORCH": "0"}).stdout


@needs_torch
@needs_pth
@pytest.mark.parametrize(("value", "patched"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_environment_patches(value, patched):
    program = "from torch.utils.tensorboard import SummaryWriter as W; print(W.__mro__[1].__module__)"
    result = python("-c", program, environment={"TBC_PATCH_TORCH": value})
    assert (result.stdout == "tbc.writer\n", result.stderr) == (patched, "")


@needs_torch
@needs_pth
def test_processes_of_a_program_are_patched(tmp_path):
    program = tmp_path / "train.py"
    program.write_text(
        "import multiprocessing\n"
        "def work():\n"
        "    from torch.utils.tensorboard import SummaryWriter\n"
        "    print(SummaryWriter.__mro__[1].__module__)\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=work)\n"
        "    process.start()\n"
        "    process.join()\n"
    )
    assert python("-m", "tbc", program).stdout == "tbc.writer\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--help"], 0, "python -m tbc train.py"),
        (["-h"], 0, "python -m tbc train.py"),
        ([], 1, "usage: python -m tbc"),
        (["-m"], 1, "usage: python -m tbc"),
        (["missing.py"], 1, "no such file or directory: 'missing.py'"),
        (["-m", "no_such_module"], 1, "no_such_module"),
    ],
)
def test_what_cannot_be_run(words, code, says):
    result = python("-m", "tbc", *words)
    assert result.returncode == code
    assert says in (result.stderr if code else result.stdout)


def test_a_process_without_the_variables_loads_nothing():
    if not os.path.exists(PTH):
        pytest.skip("an editable install has no tbc.pth")
    assert python("-c", "import sys; print('tbc' in sys.modules)").stdout == "False\n"
