"""Runs at URLs: the same values as on disk, in few requests, with only fsspec's own configuration."""

from collections import Counter
from pathlib import Path

import pytest

import tbc
from tbc.reader import files, find_event_files, read_events
from tbc.reader.dataset import Dataset, to_dataset
from tbc.reader.export import to_arrow, write_parquet
from tbc.reader.load import load_runs, load_scalars
from tbc.reader.records import TruncatedRecordError

pytest.importorskip("fsspec")
pq = pytest.importorskip("pyarrow.parquet")

RUNS = [f"group{i // 5}/seed{i % 5}" for i in range(12)]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Some runs; the first has two files."""
    logdir = tmp_path_factory.mktemp("runs")
    for i, run in enumerate([*RUNS, RUNS[0]]):
        with tbc.SummaryWriter(logdir / run) as writer:
            for step in range(20):
                writer.add_scalar("loss", i + step, 100 * i + step)
            writer.add_text("notes", f"text {i}")
    return logdir


@pytest.fixture(scope="module")
def s3_server():
    """An S3 server on this machine, with a bucket."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        patch.setenv("AWS_ACCESS_KEY_ID", "id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "key")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files.filesystem("s3://")[0].mkdir("bucket")
        yield
    server.stop()


@pytest.fixture(params=["memory", "s3"])
def home(request, tmp_path):
    """A URL where nothing exists yet."""
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    request.getfixturevalue("s3_server")
    return f"s3://bucket/{tmp_path.name}"


@pytest.fixture
def url(home, local):
    put(local, f"{home}/runs")
    return f"{home}/runs"


def put(logdir, url):
    there, path = files.filesystem(url)
    for file in find_event_files(logdir):
        there.pipe_file(f"{path}/{Path(file).relative_to(logdir)}", Path(file).read_bytes())


def test_what_is_there_is_what_is_here(url, local):
    found = find_event_files(url)
    assert [file.removeprefix(url) for file in found] == [
        file.removeprefix(str(local)) for file in find_event_files(local)
    ]
    assert find_event_files(found[0]) == found[:1]
    runs = load_runs(f"{url}/", purge=True)
    assert list(runs) == sorted(RUNS)
    assert to_arrow(runs).equals(to_arrow(load_runs(local, purge=True)))
    assert runs[RUNS[3]].values["text"]["notes/text_summary"][0] == "text 3"
    assert to_arrow(load_scalars(f"{url}/{RUNS[0]}", purge=True)).equals(
        to_arrow(load_scalars(local / RUNS[0], purge=True))
    )
    assert list(read_events(found[5])) == list(read_events(find_event_files(local)[5]))


def test_large_files_are_not_read_at_once(url, local, monkeypatch):
    monkeypatch.setattr(files, "SMALL", 100)
    assert to_arrow(load_runs(url, purge=True)).equals(to_arrow(load_runs(local, purge=True)))


def test_from_there_to_there(url, home, local):
    assert to_dataset(url, f"{home}/dataset", purge=True, part_size=5000) == Dataset(3, 260, 12, 0, 0)
    write_parquet(load_runs(url, purge=True), f"{home}/scalars.parquet")
    there, path = files.filesystem(home)
    expected = to_arrow(load_runs(local, purge=True)).to_pydict()
    assert pq.read_table(f"{path}/dataset", filesystem=there).to_pydict() == expected
    assert pq.read_table(f"{path}/scalars.parquet", filesystem=there).to_pydict() == expected
    with pytest.raises(FileExistsError):
        to_dataset(url, f"{home}/dataset")


def test_what_is_not_there(home, url):
    for call in (load_scalars, load_runs, lambda url: to_dataset(url, f"{home}/dataset")):
        with pytest.raises(FileNotFoundError):
            call(f"{home}/nowhere")


def test_files_change(home, local):
    """fsspec caches listings, which the reader must not use."""
    there, path = files.filesystem(home)
    another = type(there)(skip_instance_cache=True)
    (file,) = local.glob(f"{RUNS[2]}/*")
    content = file.read_bytes()
    there.pipe_file(f"{path}/runs/a/{file.name}", b"")
    assert load_runs(f"{home}/runs") == {}
    there.find(path)
    another.pipe_file(f"{path}/runs/a/{file.name}", content[:-1])
    errors = []
    assert len(load_scalars(f"{home}/runs/a/{file.name}", on_error=errors.append)["loss"]) == 20
    assert [type(error) for error in errors] == [TruncatedRecordError]
    another.pipe_file(f"{path}/runs/a/{file.name}", content)
    another.pipe_file(f"{path}/runs/b/{file.name}", content)
    assert {name: len(run.scalars["loss"]) for name, run in load_runs(f"{home}/runs").items()} == {"a": 20, "b": 20}


@pytest.mark.parametrize("home", ["s3"], indirect=True)
def test_requests(home, url, monkeypatch):
    """Requests are what takes time: there is one for each file, and a few for all."""
    import s3fs

    requests = Counter()
    call = s3fs.S3FileSystem._call_s3

    async def counted(self, method, *args, **kwargs):
        requests[method] += 1
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    load_runs(url, purge=True)
    assert requests == {"get_object": len(RUNS) + 1, "list_objects_v2": 1}
    requests.clear()
    to_dataset(url, f"{home}/dataset", purge=True, part_size=5000)
    assert requests["get_object"] == len(RUNS) + 1
    assert requests["put_object"] == 3
    assert requests.total() < len(RUNS) + 10
