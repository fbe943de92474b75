"""What `fwm convert` and `fwm simulate --layout well` write: The Well's layout as h5py sees it (every group, attribute and type that
its format asks for) and, where the package the_well is installed, as its own dataset class loads it; the native layout with the same
values. Convert's come from files whose values are known here, the simulator's are those of its native file."""

import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

FWM = pathlib.Path(os.environ["FWM_BUILD"]) / "fwm"
RNG = np.random.default_rng(3)
N, T, X, Y = 12, 9, 6, 5


def convert(source, target, *options):
    done = subprocess.run([str(FWM), "convert", str(source), "-o", str(target), "-q", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


def write_source(path):
    """A PDEBench file of groups with lengths of two kinds; returns its fields [t, x, y, c] by trajectory."""
    fields = [RNG.normal(size=(T if i % 3 else T - 2, X, Y, 2)).astype(np.float32) for i in range(N)]
    with h5py.File(path, "w") as file:
        for i, one in enumerate(fields):
            file.create_dataset(f"{i:04d}/data", data=one, compression="lzf")
            file[f"{i:04d}/grid/x"], file[f"{i:04d}/grid/y"] = np.linspace(-1, 1, X), np.linspace(0, 2, Y)
            file[f"{i:04d}/grid/t"] = 0.5 * np.arange(len(one))
    return fields


def write_well(path):
    """A file of The Well with a vector, a tensor, scalars that vary and do not, and walls."""
    data = {"a": RNG.normal(size=(3, T, X, Y)), "v": RNG.normal(size=(3, T, X, Y, 2)), "q": RNG.normal(size=(3, T, X, Y, 2, 2))}
    data = {name: value.astype(np.float32) for name, value in data.items()}
    with h5py.File(path, "w") as file:
        file.attrs.update(dataset_name="known", grid_type="cartesian", n_spatial_dims=2, n_trajectories=3, simulation_parameters=[])
        file.create_group("dimensions").attrs["spatial_dims"] = ["x", "y"]
        for name, values in (("time", 0.25 * np.arange(T)), ("x", np.linspace(0, 1, X)), ("y", np.linspace(0, 2, Y))):
            file["dimensions"].create_dataset(name, data=values.astype(np.float32)).attrs["sample_varying"] = False
        for order, name in enumerate("avq"):
            group = file.create_group(f"t{order}_fields")
            group.attrs["field_names"] = [name]
            field = group.create_dataset(name, data=data[name])
            field.attrs.update(dim_varying=[True, True], sample_varying=True, time_varying=True)
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["Re", "pump"]
        data["Re"], data["pump"] = np.float32([1, 2, 4]), RNG.normal(size=(3, T)).astype(np.float32)
        scalars.create_dataset("Re", data=data["Re"]).attrs.update(sample_varying=True, time_varying=False)
        scalars.create_dataset("pump", data=data["pump"]).attrs.update(sample_varying=True, time_varying=True)
        wall = file.create_group("boundary_conditions/lid")
        wall.attrs.update(associated_dims=["x"], associated_fields=[], bc_type="WALL", sample_varying=False, time_varying=False)
        wall.create_dataset("mask", data=np.arange(X) == 0)
    return data


def check_structure(path):
    """The format's own rules: what its checker and its loader ask for."""
    with h5py.File(path) as file:
        for name, kind in (("dataset_name", str), ("grid_type", str), ("n_spatial_dims", np.integer), ("n_trajectories", np.integer)):
            assert isinstance(file.attrs[name], kind), (name, type(file.attrs[name]))
        dims = list(file["dimensions"].attrs["spatial_dims"])
        assert len(dims) == file.attrs["n_spatial_dims"] and "simulation_parameters" in file.attrs
        extent = {"time": file["dimensions/time"].shape[-1], **{d: file["dimensions"][d].shape[-1] for d in dims}}
        for axis in ("time", *dims):
            assert isinstance(file["dimensions"][axis].attrs["sample_varying"], np.bool_)
            assert file["dimensions"][axis].dtype == np.float32
        for order in range(3):
            group = file[f"t{order}_fields"]
            assert sorted(group.attrs["field_names"]) == sorted(group), group
            for field in group.values():
                assert field.attrs["dim_varying"].dtype == bool and len(field.attrs["dim_varying"]) == len(dims)
                assert field.attrs["sample_varying"] and field.attrs["time_varying"] and field.dtype == np.float32
                shape = (file.attrs["n_trajectories"], extent["time"], *(extent[d] for d in dims), *[len(dims)] * order)
                assert field.shape == shape, (field, shape)
        assert sorted(file["scalars"].attrs["field_names"]) == sorted(file["scalars"])
        for bc in file["boundary_conditions"].values():
            assert bc.attrs["bc_type"] in ("WALL", "OPEN", "PERIODIC") and bc["mask"].dtype == bool
            assert bc["mask"].shape == tuple(extent[d] for d in bc.attrs["associated_dims"])


def check_groups(folder):
    fields = write_source(folder / "groups.h5")
    base = convert(folder / "groups.h5", folder / "groups", "--to", "well", "--compress", "2", "--chunk", "4")
    found = {split: sorted((base / "data" / split).iterdir()) for split in ("train", "test")}
    assert not (base / "data/valid").exists() and len(found["train"]) == 2, found
    order = {"train": range(10), "test": range(10, 12)}  # PDEBench's own loaders: the last tenth is for testing
    for split, paths in found.items():
        for path in paths:
            check_structure(path)
            with h5py.File(path) as file:
                steps = file["dimensions/time"].shape[0]
                expected = [fields[i] for i in order[split] if len(fields[i]) == steps]
                names = list(file["t0_fields"].attrs["field_names"])
                got = np.stack([file["t0_fields"][name][:] for name in names], -1)
                assert np.array_equal(got, np.stack(expected)), path
                assert np.array_equal(file["dimensions/time"][:], np.float32(0.5) * np.arange(steps))
    native = convert(folder / "groups.h5", folder / "groups_native.h5", "--to", "fwm")
    with h5py.File(native) as file:
        assert file.attrs["version"] == 2 and list(file["lengths"][:]) == [len(one) for one in fields]
        for i, one in enumerate(fields):
            assert np.array_equal(file["state"][i, :len(one)], one.reshape(len(one), -1, 2))
    return base


def check_fields(folder):
    data = write_well(folder / "known.hdf5")
    path = convert(folder / "known.hdf5", folder / "one.hdf5", "--to", "well")
    check_structure(path)
    with h5py.File(path) as file:
        for order, name in enumerate("avq"):
            assert np.array_equal(file[f"t{order}_fields"][name][:], data[name]), name
        assert np.array_equal(file["scalars/Re"][:], data["Re"]) and np.array_equal(file["scalars/pump"][:], data["pump"])
        assert list(file["boundary_conditions/lid/mask"][:]) == list(np.arange(X) == 0)
    native = convert(path, folder / "known_native.h5", "--to", "fwm")
    with h5py.File(native) as file:
        state = np.concatenate([data["a"][..., None], data["v"], data["q"].reshape(3, T, X, Y, 4)], -1)
        assert np.array_equal(file["state"][:], state.reshape(3, T, X * Y, 7))
        assert list(file["state"].attrs["names"]) == ["a", "v_x", "v_y", "q_xx", "q_xy", "q_yx", "q_yy"]
        assert np.array_equal(file["actions"][..., 0], data["pump"]) and np.array_equal(file["parameters"][:, 0], data["Re"])
    base = convert(native, folder / "known", "--to", "well")
    return data, base


def simulate(target, *options):
    small = [f"--set=simulate.{key}={value}" for key, value in (("train", 2), ("validation", 1), ("test", 1), ("test_ood", 0), ("steps", 5))]
    done = subprocess.run([str(FWM), "simulate", "configs/heat_plate_small.yaml", "-o", str(target), "-q", *small, *options],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_simulated(folder):
    """What `fwm simulate --layout well` writes holds the native file's values; returns it with the field of the training split."""
    simulate(folder / "plate", "--layout", "well")
    simulate(folder / "plate.h5")
    with h5py.File(folder / "plate.h5") as native:
        vertices, state, split = native["mesh/vertices"][:], native["state"][..., 0], native["split"][:]
        actions, names = native["actions"][:], list(native["actions"].attrs["names"])
    for k, name in enumerate(("train", "valid", "test")):
        (path,) = (folder / "plate/data" / name).iterdir()
        check_structure(path)
        with h5py.File(path) as file:
            at = [np.abs(file["dimensions"][axis][:][None] - vertices[:, d:d + 1]).argmin(1) for d, axis in enumerate("xy")]
            field = file["t0_fields/temperature"][:]
            assert np.array_equal(field[:, :, at[0], at[1]], state[split == k]), path
            for i, action in enumerate(names):
                assert np.array_equal(file["scalars"][action][:], actions[split == k, :, i]), action
        if name == "train":
            trained = field
    return folder / "plate", trained


def check_package(data, base, groups, plate, field):
    """Through the_well's own class: windows of fields, scalars, boundaries and normalisation."""
    from the_well.data import WellDataset

    well = WellDataset(path=str(base), well_split_name="train", n_steps_input=2, n_steps_output=1, use_normalization=False)
    assert len(well) == 3 * (T - 2) and well.metadata.field_names == {0: ["a"], 1: ["v_x", "v_y"],
                                                                       2: ["q_xx", "q_xy", "q_yx", "q_yy"]}
    state = np.concatenate([data["a"][..., None], data["v"], data["q"].reshape(3, T, X, Y, 4)], -1)
    for k in range(len(well)):
        i, t = divmod(k, T - 2)
        one = well[k]
        assert np.array_equal(one["input_fields"].numpy(), state[i, t:t + 2]) and np.array_equal(one["output_fields"].numpy(),
                                                                                                state[i, t + 2:t + 3])
        assert np.array_equal(one["input_scalars"].numpy()[:, 0], data["pump"][i, t:t + 2])
        assert one["constant_scalars"].numpy()[0] == data["Re"][i]
    assert well[0]["boundary_conditions"].tolist() == [[0, 1], [1, 1]], well[0]["boundary_conditions"]  # a wall, else open
    from the_well.data.normalization import ZScoreNormalization
    scaled = WellDataset(path=str(base), well_split_name="train", n_steps_input=2, n_steps_output=1, use_normalization=True,
                         normalization_type=ZScoreNormalization)
    mean, std = state.mean((0, 1, 2, 3)), state.std((0, 1, 2, 3))
    assert np.allclose(scaled[5]["input_fields"].numpy(), (state[0, 5:7] - mean) / std, atol=1e-4)
    heated = WellDataset(path=str(plate), well_split_name="train", n_steps_input=2, n_steps_output=1, use_normalization=False)
    assert len(heated) == 2 * 3 and heated.metadata.field_names[0] == ["temperature"]
    for k in range(len(heated)):
        i, t = divmod(k, 3)
        assert np.array_equal(heated[k]["input_fields"].numpy()[..., 0], field[i, t:t + 2])
        assert np.array_equal(heated[k]["output_fields"].numpy()[..., 0], field[i, t + 2:t + 3])
    many = WellDataset(path=str(groups), well_split_name="train", n_steps_input=1, n_steps_output=1, use_normalization=False)
    assert many.n_files == 2 and len(many) > 0 and many[0]["input_fields"].shape == (1, X, Y, 2)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        groups = check_groups(folder)
        data, base = check_fields(folder)
        plate, field = check_simulated(folder)
        try:
            import the_well.data  # noqa: F401
        except ImportError:
            print("the_well is not installed: its own dataset class was not asked (the structure that it reads was checked)")
            return
        check_package(data, base, groups, plate, field)
        print("the_well's dataset class loads them with equal values")


if __name__ == "__main__":
    sys.exit(main())
