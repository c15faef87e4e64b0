"""to_dataset: the dataset has what load_runs loads, whatever the part size; damage does not lose the rest."""

import os

import pytest

import tbc
from tbc.reader import dataset
from tbc.reader.dataset import Dataset, to_dataset
from tbc.reader.export import to_arrow
from tbc.reader.load import load_runs
from tbc.reader.records import CorruptRecordError

pytest.importorskip("dask")
pandas = pytest.importorskip("pandas")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def logdir(tmp_path):
    """12 runs of 30 scalars each, less than 2,000 bytes a run."""
    for i in range(12):
        with tbc.SummaryWriter(tmp_path / "runs" / f"group{i // 5}" / f"seed{i % 5}") as writer:
            for step in range(15):
                writer.add_scalar("loss", i + step, step)
                writer.add_scalar("accuracy", i - step, step)
    return tmp_path / "runs"


def rows(table):
    return list(zip(*table.to_pydict().values(), strict=True))


@pytest.mark.parametrize("part_size", [0, 4000, dataset.PART_SIZE])
def test_it_holds_what_load_runs_loads(logdir, tmp_path, part_size):
    found = to_dataset(logdir, tmp_path / "new" / "dataset", part_size=part_size)
    assert found == Dataset(
        files={0: 12, 4000: 6, dataset.PART_SIZE: 1}[part_size], rows=360, runs=12, errors=0, hidden=0
    )
    table = pq.read_table(tmp_path / "new" / "dataset")
    assert [str(t) for t in table.schema.types] == ["string", "string", "int64", "double", "double"]
    assert rows(table) == rows(to_arrow(load_runs(logdir)))
    assert sorted(os.listdir(tmp_path / "new" / "dataset")) == [f"part-{i:05}.parquet" for i in range(found.files)]


def test_filters(logdir, tmp_path):
    wanted = {"runs": "group1/*", "tags": (tag for tag in ["loss"]), "steps": (3, 4)}
    assert to_dataset(logdir, tmp_path / "dataset", part_size=0, **wanted) == Dataset(5, 10, 5, 0, 0)
    wanted["tags"] = "loss"
    assert rows(pq.read_table(tmp_path / "dataset")) == rows(to_arrow(load_runs(logdir, **wanted)))
    assert to_dataset(logdir, tmp_path / "nothing", runs="nothing") == Dataset(1, 0, 0, 0, 0)
    assert pq.read_table(tmp_path / "nothing").schema.equals(pq.read_table(tmp_path / "dataset").schema)
    for wrong in ({"runs": 1}, {"tags": [1]}, {"steps": 3}):
        with pytest.raises(TypeError):
            to_dataset(logdir, tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_a_reader_passes_over_other_runs(logdir, tmp_path):
    to_dataset(logdir, tmp_path / "dataset", part_size=4000)
    frame = pandas.read_parquet(tmp_path / "dataset", filters=[("run", "==", "group1/seed3")])
    assert frame["run"].unique().tolist() == ["group1/seed3"]
    assert len(frame) == 30
    ends = []
    for path in sorted((tmp_path / "dataset").iterdir()):
        of_runs = pq.ParquetFile(path).metadata.row_group(0).column(0).statistics
        ends += [of_runs.min, of_runs.max]
    assert ends == sorted(f"group{i // 5}/seed{i % 5}" for i in range(12))


def test_parts():
    assert dataset._parts({}, 10) == [[]]
    sizes = {"e": 1, "d": 4, "c": 100, "b": 5, "a": 5}
    assert dataset._parts(sizes, 10) == [["a", "b"], ["c"], ["d", "e"]]


def test_damage_does_not_keep_the_rest_from_it(logdir, tmp_path):
    (path,) = (logdir / "group0" / "seed1").iterdir()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # in the last record
    path.write_bytes(content)
    (logdir / "gone").mkdir()
    (logdir / "gone" / "events.out.tfevents.9").symlink_to("nowhere")
    (path,) = (logdir / "group2" / "seed1").iterdir()
    path.write_bytes(path.read_bytes()[:-1])  # may still be growing
    errors = []
    found = to_dataset(logdir, tmp_path / "dataset", on_error=errors.append)
    assert found == Dataset(1, 358, 12, 3, 0)
    assert len(pq.read_table(tmp_path / "dataset")) == 358
    assert {type(error).__name__ for error in errors} == {
        "CorruptRecordError",
        "FileNotFoundError",
        "TruncatedRecordError",
    }
    with pytest.warns(RuntimeWarning) as told:
        to_dataset(logdir, tmp_path / "again")
    assert len(told) == 2


def test_what_is_not_written_over(logdir, tmp_path):
    to_dataset(logdir, tmp_path / "dataset")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").iterdir()}
    for _ in range(2):
        with pytest.raises(FileExistsError):
            to_dataset(logdir, tmp_path / "dataset")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").iterdir()}


def test_no_runs(tmp_path):
    for logdir in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(FileNotFoundError):
            to_dataset(logdir, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


def test_a_part_that_cannot_be_written(logdir, tmp_path, monkeypatch):
    write = dataset.write_parquet

    def full(runs, path):
        if "00002" in path:
            raise OSError(28, "No space left on device")
        write(runs, path)

    monkeypatch.setattr(dataset, "write_parquet", full)
    with pytest.raises(OSError, match="No space"):
        to_dataset(logdir, tmp_path / "dataset", part_size=0)
    assert not (tmp_path / "dataset" / "part-00002.parquet").exists()


def test_a_cluster(logdir, tmp_path):
    distributed = pytest.importorskip("distributed")
    (path,) = (logdir / "group0" / "seed1").iterdir()
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    errors = []
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = to_dataset(logdir, tmp_path / "dataset", part_size=0, client=client, on_error=errors.append)
    assert found == Dataset(12, 359, 12, 1, 0)
    assert rows(pq.read_table(tmp_path / "dataset")) == rows(to_arrow(load_runs(logdir, on_error=errors.append)))
    assert [type(error) for error in errors] == 2 * [CorruptRecordError]
    assert str(errors[0]) == str(errors[1])
