"""Datasets of the native layout as h5py writes them, habits and all, are read: booleans as enumerations, texts of either kind,
scalars for lists of one, empty lists as empty floats, other number types, chunks and filters of every sort, a user block."""

import json
import os
import pathlib
import subprocess
import tempfile

import h5py
import numpy as np

N, T, H, W, C, NODES = 5, 9, 4, 6, 3, 7
PROGRAM = pathlib.Path(os.environ["FWM_BUILD"]) / "tests/data/program_inspect_dataset"
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (N, T, H, W, C), dtype=np.uint8)
STATE = RNG.normal(size=(N, T, NODES, 1))


def inspect(path):
    run = subprocess.run([str(PROGRAM), path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def write(path, frames, state, storage, **options):
    """storage: arguments of create_dataset for the fields; options: arguments of File."""
    with h5py.File(path, "w", **options) as file:
        file.attrs.update(format="fwm-dataset", version=np.int32(1), name=np.bytes_("fixed"), equation="heat", dt=np.float32(0.5))
        file.attrs["seed"] = True
        file.create_dataset("split", data=np.zeros(N, np.int64))
        file.create_dataset("frames", data=frames, **storage)
        fields = file.create_dataset("state", data=state, **storage)
        fields.attrs["names"] = "température"
        fields.attrs["units"] = ["K"]
        file.create_dataset("key_state", data=RNG.integers(0, 2, (N, T)).astype(bool))
        none = file.create_dataset("parameters", shape=(N, 0), dtype=np.float32)
        none.attrs["names"] = []


def check(found, frames, state, tolerance):
    assert (found["trajectories"], found["steps"], found["frames"]) == (N, T, [H, W, C]), found
    assert found["fields"] == ["température"] and found["actions"] == 0 and found["dt"] == 0.5 and found["seed"] == 1
    assert found["name"] == "fixed" and found["key_state"] is True and found["nan"] == 0
    for channel, values in [(found["ranges"]["state"][0], state)] + [
            (found["ranges"]["frames"][c], frames[..., c] / (255 if frames.dtype == np.uint8 else 1)) for c in range(C)]:
        for key, value in {"min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std()}.items():
            assert abs(channel[key] - value) <= tolerance, f"{key}: expected {value}, found {channel[key]}"


def main():
    # float32 rounds values up to 4.5 by at most 2.4e-7; means and deviations of them by no more.
    tolerance = 2.5e-7
    storages = [{}, {"chunks": True}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True, "fletcher32": True}]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data.h5")
        for version in ("earliest", ("v110", "v110")):
            for storage in storages:
                for frames, state in ((FRAMES, STATE.astype(np.float32)), (FRAMES.astype(np.float32) / 255, STATE)):
                    write(path, frames, state, storage, libver=version)
                    check(inspect(path), frames, state, tolerance)
        write(path, FRAMES.astype(">f4"), STATE.astype(">f8"), {}, libver=("v110", "v110"))
        check(inspect(path), FRAMES.astype(np.float32), STATE, 1e-4)
        write(path, FRAMES, STATE.astype(np.float16), {}, userblock_size=1024)
        check(inspect(path), FRAMES, STATE.astype(np.float16).astype(np.float64), tolerance)
        with h5py.File(path, "r+") as file:
            del file["state"]
            file["state"] = np.full((N, T, NODES, 1), np.nan, np.float32)
        assert inspect(path)["nan"] == N * T * NODES


if __name__ == "__main__":
    main()
