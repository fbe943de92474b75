"""h5py reads a dataset of the native layout, plain and compressed, and finds every value where the format says it is."""

import os
import pathlib
import subprocess
import tempfile

import h5py
import numpy as np

N, T, H, W, C = 12, 11, 6, 5, 3
BUILD = pathlib.Path(os.environ["FWM_BUILD"])


def same(name, found, expected):
    assert found.shape == expected.shape, f"{name}: expected shape {expected.shape}, found {found.shape}"
    assert np.array_equal(found, expected), f"{name}: values differ, first at {np.argwhere(found != expected)[0]}"


def expected_fields():
    """The formulas of tests/data/sample.h."""
    i, t = np.arange(N), np.arange(T)
    ix = np.ix_
    g = ix(i, t, np.arange(H), np.arange(W), np.arange(C))
    a = ix(i, t, np.arange(2))
    s = ix(i, t, np.arange(6), np.arange(2))
    p = ix(i, t, np.arange(4), np.arange(1))
    return {
        "frames": ((7 * g[0] + 5 * g[1] + 3 * g[2] + 2 * g[3] + g[4]) % 256).astype(np.uint8),
        "actions": (a[0] + 0.25 * a[1] - a[2]).astype(np.float32),
        "state": (100 * s[0] + s[1] ** 2 + 0.5 * s[2] - 2 * s[3]).astype(np.float32),
        "s_phy": (-p[0] + 0.125 * p[1] * p[2] + 0 * p[3]).astype(np.float32),
        "parameters": (1 + i[:, None] + 10 * np.arange(2)[None, :]).astype(np.float32),
        "key_state": ((i[:, None] + t[None, :]) % 3 == 0).astype(np.uint8),
        "split": np.array([0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3], np.uint8),
    }


def check_attributes(file):
    for name, value in {"format": "fwm-dataset", "name": "sample", "equation": "heat", "generator": "tests",
                        "config": "experiment: sample\nnote: café\n", "version": 1, "dt": 0.125, "seed": 42}.items():
        assert file.attrs[name] == value, f"@{name}: expected {value!r}, found {file.attrs[name]!r}"
    assert list(file["actions"].attrs["names"]) == ["heater", "ambient"]
    assert list(file["actions"].attrs["units"]) == ["W/m^2", "K"]
    assert list(file["state"].attrs["names"]) == ["temperature", "phase"]
    assert list(file["parameters"].attrs["names"]) == ["conductivity", "capacity"]


def check_mesh(file):
    mesh = file["mesh"]
    assert mesh.attrs["cell"] == "triangle" and mesh.attrs["space"] == "P1"
    same("vertices", mesh["vertices"][:], np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]], np.float64))
    same("cells", mesh["cells"][:], np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4]], np.int32))
    same("left", mesh["boundary/left"][:], np.array([[3, 0]], np.int32))
    assert file["coarse_mesh"].attrs["cell"] == "quadrilateral"
    same("truth", file["truth/conductivity"][:], np.array([0.2, 5, 0.5]))


def check_stats(file, fields):
    """Population statistics of the training split over everything but the channel, increments likewise. float64 sums of n
    values differ from numpy's by at most n eps relative; n < 1e4 here, so 1e-11 of the largest value is wide."""
    train = fields["split"] == 0
    for name in ("frames", "actions", "state", "s_phy"):
        x = fields[name][train].astype(np.float64)
        if name == "frames":
            x = (fields[name][train].astype(np.float32) / np.float32(255)).astype(np.float64)
        axes = tuple(range(x.ndim - 1))
        d = np.diff(x, axis=1)
        for part, value in {"mean": x.mean(axes), "std": x.std(axes), "delta_mean": d.mean(axes), "delta_std": d.std(axes)}.items():
            found = file[f"stats/{name}/{part}"][:]
            error = np.abs(found - value).max()
            assert error <= 1e-11 * max(1.0, np.abs(x).max()), f"stats/{name}/{part}: expected {value}, found {found}"


def main():
    fields = expected_fields()
    with tempfile.TemporaryDirectory() as folder:
        for gzip in (0, 4):
            path = os.path.join(folder, f"gzip{gzip}.h5")
            subprocess.run([str(BUILD / "tests/data/program_write_dataset"), path, str(gzip)], check=True)
            with h5py.File(path, "r") as file:
                for name, value in fields.items():
                    same(name, file[name][:], value)
                    assert file[name].dtype == value.dtype, f"{name}: {file[name].dtype}"
                assert file["frames"].chunks == (1, 8, H, W, C)
                assert file["frames"].compression == ("gzip" if gzip else None) and file["frames"].shuffle == bool(gzip)
                check_attributes(file)
                check_mesh(file)
                check_stats(file, fields)
        assert len(os.listdir(folder)) == 2, f"files left behind: {os.listdir(folder)}"


if __name__ == "__main__":
    main()
