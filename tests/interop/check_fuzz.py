"""A seeded corpus of damaged files: each layout, as h5py writes it by default (HDF5's older format, without checksums) and as
of HDF5 1.10 (with them), damaged in hundreds of ways by tests/fuzz/program_fuzz_dataset. Every one is read or refused by name; none
crashes, none takes memory beyond a bound. FUZZ_CASES sets how many a file (default 60). Then each is cut after every KiB."""

import os
import pathlib
import re
import subprocess
import tempfile

import h5py
import numpy as np

PROGRAM = pathlib.Path(os.environ["FWM_BUILD"]) / "tests/fuzz/program_fuzz_dataset"
CASES = int(os.environ.get("FUZZ_CASES", "60"))
MEGABYTES = 1000  # the program itself, its libraries and the room that it reads into
RNG = np.random.default_rng(5)


def write_well(file):
    file.attrs.update(dataset_name="w", grid_type="cartesian", n_spatial_dims=2, n_trajectories=2, simulation_parameters=["Re"], Re=1.0)
    file.create_group("dimensions").attrs["spatial_dims"] = ["x", "y"]
    for name, n in (("time", 4), ("x", 6), ("y", 5)):
        file["dimensions"].create_dataset(name, data=np.arange(n, dtype=np.float32)).attrs["sample_varying"] = False
    for order, name in enumerate("avq"):
        group = file.create_group(f"t{order}_fields")
        group.attrs["field_names"] = [name]
        one = group.create_dataset(name, data=RNG.normal(size=(2, 4, 6, 5) + (2,) * order).astype(np.float32),
                                   **({} if order == 0 else {"compression": "gzip" if order == 1 else "lzf"}))
        one.attrs.update(dim_varying=[True, True], sample_varying=True, time_varying=True)
    file.create_group("scalars").attrs["field_names"] = []
    wall = file.create_group("boundary_conditions/wall")
    wall.attrs.update(associated_dims=["x"], associated_fields=[], bc_type="WALL", sample_varying=False, time_varying=False)
    wall["mask"] = np.arange(6) == 0


def write_arrays(file):
    file.attrs["Nu"] = 0.1
    file.create_dataset("tensor", data=RNG.normal(size=(10, 5, 16)).astype(np.float32), chunks=(1, 2, 8))
    file["x-coordinate"], file["t-coordinate"] = np.arange(16.0), np.arange(6.0)


def write_groups(file):
    for i in range(4):
        file.create_dataset(f"{i:04d}/data", data=RNG.normal(size=(4, 6, 5, 2)).astype(np.float32), compression="lzf")
        file[f"{i:04d}/grid/x"], file[f"{i:04d}/grid/y"], file[f"{i:04d}/grid/t"] = np.arange(6.0), np.arange(5.0), np.arange(4.0)
        file[f"{i:04d}"].attrs["config"] = "a: 1\n"


def write_flow(file):
    for name, shape in (("velocity", (2, 3, 6, 5, 2)), ("particles", (2, 3, 6, 5, 1)), ("force", (2, 6, 5, 2))):
        file.create_dataset(name, data=RNG.normal(size=shape).astype(np.float32), compression="lzf", shuffle=True, fletcher32=True)
    file["t"] = np.tile(np.arange(3.0), (2, 1))


def write_robomimic(file):
    for i in range(3):
        file[f"data/demo_{i}/actions"] = RNG.normal(size=(4, 2))
        file[f"data/demo_{i}/states"] = RNG.normal(size=(4, 3))
        file.create_dataset(f"data/demo_{i}/obs/camera", data=RNG.integers(0, 256, (4, 4, 4, 3), np.uint8), compression="gzip")
    file["data"].attrs["env_args"] = '{"env_name": "Lift"}'
    file["mask/train"] = np.array([f"demo_{i}" for i in range(3)], "S")


LAYOUTS = {"well": write_well, "arrays": write_arrays, "groups": write_groups, "flow": write_flow, "robomimic": write_robomimic}


def main():
    with tempfile.TemporaryDirectory() as folder:
        for seed, (name, write) in enumerate(LAYOUTS.items()):
            for libver in ("earliest", "v110"):
                path = pathlib.Path(folder) / f"{name}_{libver}.hdf5"
                with h5py.File(path, "w", libver=(libver, "v110")) as file:
                    write(file)
                for how, cases in ((str(seed), CASES), ("cuts", 1000)):
                    done = subprocess.run([str(PROGRAM), str(path), "auto", how, str(cases)], capture_output=True, text=True)
                    last = done.stderr.strip().splitlines()[-1:]
                    assert done.returncode == 0, f"{path.name}: status {done.returncode} at {last}: {done.stdout}"
                    memory = int(re.search(r"at most (\d+) MB", done.stdout)[1])
                    assert memory < MEGABYTES, f"{path.name}: {done.stdout}"
                    assert how != "cuts" or " 0 read," in done.stdout, f"{path.name}, cut, was read as if whole: {done.stdout}"
                    print(f"{path.name}, {how}: {done.stdout.strip()}")


if __name__ == "__main__":
    main()
