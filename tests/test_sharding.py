import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jax
import numpy as np
import on_two_hosts
import pytest
from problems import assert_close

import vaejax as vj
from vaejax import sharding

pytestmark = pytest.mark.long
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def report():
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    env["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # in haste, as in conftest.py
    done = subprocess.run(
        [sys.executable, HERE / "on_eight_devices.py"], env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_any_number_of_devices_gives_the_fit_of_one(report):
    """1,003 examples, which no number of devices divides, and nine. In float64 but for the networks' weights."""
    assert len(report["differences"]) == 3 * 4 + 8 + 2
    tolerance = {case: 1e-5 if case.startswith(("network", "mean")) else 1e-9 for case in report["differences"]}
    assert not {case: diff for case, diff in report["differences"].items() if not diff < tolerance[case]}


def test_devices_talk_once_a_step(report):
    assert report["collectives"]["mixture"] == {"all-reduce": 1}
    assert report["collectives"]["network"] == {"all-reduce": 1}


def test_what_was_placed_is_there_again():
    data = {"x": np.arange(12.0).reshape(6, 2), "label": np.arange(6)}
    placed = vj.shard(data)
    assert placed.num_examples == 6 and len(placed.padded["x"]) % len(jax.devices()) == 0
    jax.tree.map(np.testing.assert_array_equal, jax.jit(sharding.drop_padding)(placed), data)


@pytest.mark.parametrize(
    ("xs", "message"), [([[1.0], [2.0]], "numpy.asarray"), ({"a": np.ones(3), "b": np.ones(4)}, "share the first axis")]
)
def test_what_cannot_be_placed(xs, message):
    with pytest.raises(ValueError, match=message):
        vj.shard(xs)


@contextmanager
def two_hosts(table, folder, *more):
    """Two processes of one program that find each other on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    with ExitStack() as stack:
        hosts = []
        for rank in range(2):
            command = [sys.executable, HERE / "on_two_hosts.py", str(rank), str(port), table, folder / f"{rank}.npz"]
            host = subprocess.Popen(
                [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
            )
            hosts.append(stack.enter_context(host))
            stack.callback(host.kill)  # before it is waited for
        yield hosts


@pytest.fixture
def table(tmp_path):
    xs = np.random.default_rng(0).standard_normal((101, 3)).astype(np.float32)
    np.save(tmp_path / "table.npy", xs)
    return tmp_path / "table.npy"


@pytest.mark.parametrize("by_label", [False, True])
def test_two_hosts_give_the_fit_of_one_and_read_each_its_own_part(table, tmp_path, by_label):
    """Sorted by a label, which stands in the last column, each host sees a column that is the same in all its rows."""
    xs = np.load(table)
    if by_label:
        xs[:, 2] = np.arange(len(xs)) > 50
        np.save(table, xs)
    with two_hosts(table, tmp_path) as hosts:
        errors = [host.communicate(timeout=300)[1] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], errors[0][-2000:]
    with jax.enable_x64(False):
        alone = on_two_hosts.fits(xs, xs[::2])
    for rank, rows in enumerate([(0, 51), (51, 101)]):
        with np.load(tmp_path / f"{rank}.npz") as result:
            assert {tuple(r) for r in result["read"]} == {rows}
            for i, expected in enumerate(alone):
                assert_close(result[f"arr_{i}"], expected, atol=1e-5)


def test_what_one_host_cannot_read_is_told_by_all(table, tmp_path):
    """Values are looked at for all hosts together: else one would refuse its part, and the other wait for ever."""
    xs = np.load(table)
    xs[60, 1] = np.nan  # on the second host alone
    np.save(table, xs)
    with two_hosts(table, tmp_path) as hosts:
        errors = [host.communicate(timeout=100)[1] for host in hosts]
    assert all("1 NaN or infinite entries" in error for error in errors), errors[0][-2000:]


def test_a_host_that_dies_stops_the_other_in_bounded_time(table, tmp_path):
    with two_hosts(table, tmp_path, "10000000") as hosts:
        assert all(host.stdout.readline() == "placed\n" for host in hosts)
        time.sleep(5)
        assert [host.poll() for host in hosts] == [None, None]
        hosts[1].kill()
        _, error = hosts[0].communicate(timeout=100)  # ten seconds without a sign of life, and then some
    assert hosts[0].returncode != 0 and error
