"""Files in the layouts of others, written by h5py with its every habit (booleans as enumerations, texts of either kind, scalars
for lists, empty lists, LZF, extra axes, masks of fixed length, other number types), are read value for value."""

import json
import os
import pathlib
import struct
import subprocess
import tempfile

import h5py
import numpy as np

PROGRAM = pathlib.Path(os.environ["FWM_BUILD"]) / "tests/data/program_inspect_dataset"
RNG = np.random.default_rng(1)
STORAGES = [{}, {"chunks": True}, {"compression": "lzf"}, {"compression": "lzf", "shuffle": True},
            {"compression": "lzf", "shuffle": True, "fletcher32": True}, {"compression": "gzip", "shuffle": True}]


def run(path, **arguments):
    return subprocess.run([str(PROGRAM), str(path)] + [f"{key}={value}" for key, value in arguments.items()], capture_output=True,
                          text=True)


def read(path, **arguments):
    """What the program says, and every value as it read it."""
    dump = str(path).rstrip("/") + ".dump"
    done = run(path, dump=dump, **arguments)
    assert done.returncode == 0, done.stderr
    values = np.fromfile(dump, np.float32)
    os.unlink(dump)
    return json.loads(done.stdout), values


def fails(path, *parts, **arguments):
    done = run(path, **arguments)
    assert done.returncode == 1, f"expected an error, found {done.returncode}: {done.stdout[:300]}{done.stderr[:300]}"
    for part in (str(path),) + parts:
        assert part in done.stderr, f"expected '{part}' in: {done.stderr}"


def flat(*arrays):
    return np.concatenate([np.asarray(a, np.float32).ravel() for a in arrays])


def equal(found, expected, what):
    assert found.shape == expected.shape, f"{what}: expected {expected.size} values, found {found.size}"
    assert np.array_equal(found, expected, equal_nan=True), f"{what}: values differ at {np.flatnonzero(found != expected)[:5]}"


def wave(*shape):
    """Values that compress, exact in every floating-point type: few bits each."""
    return np.round(8 * np.sin(np.arange(np.prod(shape)) / 7.0)).reshape(shape) / 4


# ---- The Well ----

def well_field(group, name, data, order, dims, sample, time, **storage):
    field = group.create_dataset(name, data=data, **({} if np.ndim(data) == 0 else storage))
    field.attrs["dim_varying"] = np.array(dims) if len(dims) != 1 else bool(dims[0])
    field.attrs["sample_varying"] = sample
    field.attrs["time_varying"] = np.bool_(time)
    if order == 2:
        field.attrs.update(symmetric=True, antisymmetric=False)


def write_well(path, b, t, n, storage, kind=np.float32, habits=True):
    """A file with every kind of field; returns what a reader should see, per trajectory: state [t, points, c], actions, parameters."""
    d, rng = len(n), np.random.default_rng(b * 100 + t)
    names = ["x", "y", "z"][:d]
    with h5py.File(path, "w") as file:
        file.attrs.update(dataset_name="étude" if habits else np.bytes_("etude"), grid_type="cartesian", n_spatial_dims=d,
                          n_trajectories=np.int32(b), simulation_parameters=["Re"], Re=100.0)
        axes = file.create_group("dimensions")
        axes.attrs["spatial_dims"] = names if d > 1 or not habits else names[0]
        axes.create_dataset("time", data=(0.25 * np.arange(t)).astype(kind)).attrs["sample_varying"] = False
        for k, name in enumerate(names):
            axes.create_dataset(name, data=np.linspace(-1, 1 + k, n[k]).astype(np.float32)).attrs["sample_varying"] = False
        a = rng.integers(-40, 40, (b, t, *n)) / 4
        still = rng.integers(-40, 40, (b, *n)) / 4                                  # constant in time
        shared = rng.integers(-40, 40, (t, n[-1])) / 4                              # the same for all, along all axes but the last
        number = 2.5                                                                # a field that is one number
        v = wave(b, t, *n, d)
        still_v = rng.integers(-9, 9, (n[0], d)) / 2
        q = rng.integers(-40, 40, (b, t, *n, d, d)) / 4
        g0, g1, g2 = (file.create_group(f"t{o}_fields") for o in range(3))
        g0.attrs["field_names"] = ["still", "a", "shared", "number"]
        g1.attrs["field_names"] = np.array(["v", "still_v"], "S") if habits else ["v", "still_v"]
        g2.attrs["field_names"] = "q"
        every = [True] * d
        well_field(g0, "a", a.astype(kind), 0, every, True, True, **storage)
        well_field(g0, "still", still.astype(kind), 0, every, True, False, **storage)
        well_field(g0, "shared", shared.astype(kind), 0, [False] * (d - 1) + [True], False, True, **storage)
        well_field(g0, "number", np.float32(number), 0, [False] * d, False, False)
        well_field(g1, "v", v.astype(kind), 1, every, True, True, **storage)
        well_field(g1, "still_v", still_v.astype(kind), 1, [True] + [False] * (d - 1), False, False, **storage)
        well_field(g2, "q", q.astype(kind), 2, every, True, True, **storage)
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["Re", "mu", "pump"]
        mu, pump = rng.integers(0, 9, b) / 2, rng.integers(0, 9, (b, t)) / 2
        for name, data, sample, time in (("Re", np.float64(100), False, False), ("mu", mu, True, False), ("pump", pump, True, True)):
            one = scalars.create_dataset(name, data=data)
            one.attrs.update(sample_varying=sample, time_varying=time)
        conditions = file.create_group("boundary_conditions")
        for name, kind_of, dims, mask in (
                ("lid", "wall", names[:1], np.arange(n[0]) == 0), ("ends", "Periodic", names[-1:], np.isin(np.arange(n[-1]), (0, n[-1] - 1))),
                ("body", "WALL", names, np.indices(n).sum(0) == 3)):
            one = conditions.create_group(name)
            one.attrs.update(associated_dims=dims, associated_fields=[], bc_type=kind_of, sample_varying=False, time_varying=False)
            one.create_dataset("mask", data=mask)
    state = np.zeros((b, t, *n, 3 + d + d * d + 1 + d))
    state[..., 0] = a
    state[..., 1] = shared.reshape(1, t, *[1] * (d - 1), n[-1])
    state[..., 2:2 + d] = v
    state[..., 2 + d:2 + d + d * d] = q.reshape(b, t, *n, d * d)
    state[..., 2 + d + d * d] = still[:, None]
    state[..., 3 + d + d * d] = number
    state[..., 4 + d + d * d:] = still_v.reshape(1, 1, n[0], *[1] * (d - 1), d)
    return [(pump[i, :, None], state[i].reshape(t, -1, state.shape[-1]), np.array([100, mu[i]])) for i in range(b)]


def well_names(d):
    xyz = "xyz"[:d]
    return (["a", "shared"] + [f"v_{i}" for i in xyz] + [f"q_{i}{j}" for i in xyz for j in xyz] + ["still", "number"] +
            [f"still_v_{i}" for i in xyz])


def check_well(folder):
    path = folder / "one.hdf5"
    for n in ((5,), (6, 5), (4, 3, 5)):
        for storage in STORAGES:
            for kind in (np.float32, np.float64, np.float16, ">f4"):
                trajectories = write_well(path, 3, 7, n, storage, kind, habits=kind == np.float32)
                found, values = read(path)
                equal(values, flat(*[part for one in trajectories for part in one]), f"well {n} {storage} {kind}")
                assert found["layout"] == "well" and found["fields"] == well_names(len(n)) and found["dt"] == 0.25, found
                assert found["name"] == ("étude" if kind == np.float32 else "etude")
                assert (found["mesh"] is None) == (len(n) == 3)
                edges = [axis["edges"] for axis in found["grid"]["axes"]]
                assert edges[0][0] == "wall" and edges[-1][1] == "periodic", edges
                if len(n) == 2:
                    assert edges == [["wall", "open"], ["periodic", "periodic"]], edges
                    assert [(c["name"], c["points"]) for c in found["grid"]["conditions"]] == [("body", 4), ("ends", 2), ("lid", 1)]
                    # closed along the last axis: one more row of cells, whose far vertices are the first ones' nodes
                    mesh = found["mesh"]
                    assert (mesh["nodes"], mesh["vertices"], mesh["cells"]) == (n[0] * n[1], n[0] * (n[1] + 1), (n[0] - 1) * n[1])

    base = folder / "many"
    expected, parts = [], [("train", "b.h5", 2, 9), ("train", "a.hdf5", 1, 4), ("valid", "c.hdf5", 2, 5), ("test", "d.hdf5", 1, 6)]
    (base / "data/train").mkdir(parents=True)
    (base / "data/valid").mkdir()
    (base / "data/test").mkdir()
    for split, name, b, t in parts:
        expected.append(write_well(base / "data" / split / name, b, t, (6, 5), STORAGES[2]))
    order = [1, 0, 2, 3]  # train by name, then valid, then test
    values = flat(*[part for k in order for one in expected[k] for part in one])
    for root in (base, base / "data", str(base) + "/"):
        found, dumped = read(root)
        equal(dumped, values, "well, a folder")
        assert found["splits"] == {"train": 3, "validation": 2, "test": 1, "test_ood": 0} and found["steps"] == 9, found
    train = np.concatenate([one[1][..., 0].ravel() for k in (1, 0) for one in expected[k]])
    assert abs(found["ranges"]["state"][0]["mean"] - train.mean()) < 1e-12

    # More files than are kept open.
    crowd = folder / "crowd"
    crowd.mkdir()
    each = [write_well(crowd / f"{k:02d}.h5", 1, 3 + k % 2, (4, 3), STORAGES[k % 3]) for k in range(11)]
    equal(read(crowd)[1], flat(*[part for one in each for part in one[0]]), "well, many files")

    # The file of statistics, as The Well writes it; with a field missing, they are computed.
    fields = {"a": 0.5, "shared": 1.5, "number": 2.5, "still": 3.5, "v": [4.0, 5.0], "still_v": [6.0, 7.0], "q": [[1.0, 2.0], [3.0, 4e-05]]}
    still = {"number", "still", "still_v"}
    lines = []
    for key in ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta"):
        lines.append(f"{key}:")
        lines += [f"  {name}: {json.dumps(value)}" for name, value in fields.items() if not (key.endswith("delta") and name in still)]
    (base / "stats.yaml").write_text("\n".join(lines) + "\n")
    for root in (base, base / "data/train/b.h5"):
        ranges = read(root)[0]["ranges"]["state"]
        assert [c["std"] for c in ranges] == [0.5, 1.5, 4, 5, 1, 2, 3, 4e-05, 3.5, 2.5, 6, 7], ranges
        assert [c["delta_std"] for c in ranges] == [0.5, 1.5, 4, 5, 1, 2, 3, 4e-05, 0, 0, 0, 0], ranges
    (base / "stats.yaml").write_text("\n".join(line for line in lines if "  v:" not in line) + "\n")
    assert abs(read(base)[0]["ranges"]["state"][0]["mean"] - train.mean()) < 1e-12
    (base / "stats.yaml").write_text("mean: {a: [1, 2, 3]}\n")
    assert "stats.yaml" in run(base).stderr
    (base / "stats.yaml").write_text("mean: [1\n")
    assert "stats.yaml" in run(base).stderr
    (base / "stats.yaml").unlink()

    # What does not fit together is named: the file and the place.
    other = base / "data/valid/c.hdf5"
    write_well(other, 1, 4, (6, 4), {})
    assert str(other) in run(base).stderr and "/dimensions/y" in run(base).stderr
    other.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert str(other) in run(base).stderr and "git-lfs pointer" in run(base).stderr
    for place, change in (("/t1_fields/v", lambda f: f["t1_fields/v"].attrs.update(dim_varying=[True])),
                          ("/t0_fields/a", lambda f: f["t0_fields"].__delitem__("a")),
                          ("/t0_fields/a", lambda f: f["t0_fields/a"].attrs.__delitem__("time_varying")),
                          ("/t0_fields/a", lambda f: f["t0_fields/a"].attrs.update(sample_varying="yes")),
                          ("/t2_fields/q", lambda f: f["t2_fields/q"].attrs.update(time_varying=False)),
                          ("/dimensions/time", lambda f: f["dimensions"].__delitem__("time")),
                          ("n_trajectories", lambda f: f.attrs.update(n_trajectories=2**62)),
                          ("/scalars/mu", lambda f: f["scalars/mu"].attrs.update(sample_varying=False)),
                          ("/boundary_conditions/lid", lambda f: f["boundary_conditions/lid"].attrs.update(associated_dims=["w"]))):
        write_well(path, 3, 7, (6, 5), {})
        with h5py.File(path, "r+") as file:
            change(file)
        fails(path, place)


# ---- PDEBench ----

def check_pdebench(folder):
    path = folder / "pde.hdf5"
    for storage in STORAGES:
        for extra in ((), (1,)):
            tensor = wave(20, 11, 16)
            with h5py.File(path, "w") as file:
                file.attrs.update(Nu=0.01, beta=np.float32(0.5), note="text", steps=3)
                file.create_dataset("tensor", data=tensor.reshape(*extra, *tensor.shape).astype(np.float32), **storage)
                file["x-coordinate"] = np.linspace(0, 1, 16, endpoint=False).astype(np.float32)
                file["t-coordinate"] = (0.125 * np.arange(12)).astype(np.float32)  # one more than steps
            found, values = read(path)
            equal(values, flat(*[part for one in tensor for part in (one, [0.01, 0.5, 3])]), f"pdebench 1-D {storage} {extra}")
            assert found["layout"] == "pdebench" and found["dt"] == 0.125 and found["fields"] == ["tensor"], found
            assert found["splits"]["test"] == 2 and found["splits"]["train"] == 18 and found["mesh"]["nodes"] == 16
            assert [p["name"] for p in found["ranges"]["parameters"]] == ["Nu", "beta", "steps"]
    for d in (1, 2, 3):
        n, names = (6, 5, 4)[:d], ["density", "pressure", "Vx", "Vy", "Vz"][:2 + d]
        fields = [RNG.normal(size=(10, 3, *n)).astype(np.float32) for _ in names]
        with h5py.File(path, "w") as file:
            for name, field in zip(reversed(names), reversed(fields)):
                file.create_dataset(name, data=field, compression="lzf")
            for k in range(d):
                file["xyz"[k] + "-coordinate"] = np.arange(n[k] + 1.0)  # faces of the cells
            file["t-coordinate"] = np.arange(4.0)
        found, values = read(path)
        equal(values, flat(np.stack(fields, -1)), f"pdebench fluid {d}-D")
        assert found["fields"] == names and [a["points"] for a in found["grid"]["axes"]] == list(n)
    nu, u = RNG.normal(size=(30, 8, 7)).astype(np.float32), RNG.normal(size=(30, 1, 8, 7)).astype(np.float32)
    with h5py.File(path, "w") as file:
        file.attrs["beta"] = 1.0
        file["nu"], file["tensor"] = nu, u
        file["x-coordinate"], file["y-coordinate"] = np.arange(8.0), np.arange(7.0)
    found, values = read(path)
    equal(values, flat(*[part for i in range(30) for part in (np.stack([nu[i], u[i, 0]], -1), [1.0])]), "pdebench darcy")
    assert found["steps"] == 1 and found["fields"] == ["nu", "u"] and found["splits"]["test"] == 3

    path = folder / "groups.h5"
    for d in (1, 2, 3):
        n = (9, 6, 4)[:d]
        data = [wave(4 + i % 3, *n, 2).astype(np.float32) + i for i in range(21)]
        with h5py.File(path, "w") as file:
            for i, one in enumerate(data):
                group = file.create_group(f"{i:04d}")
                group.attrs["config"] = "sim:\n  seed: 1\n"
                group.create_dataset("data", data=one, compression="lzf" if i % 2 else None)
                for k in range(d):
                    group[f"grid/{'xyz'[k]}"] = np.linspace(-1, 1, n[k])
                group["grid/t"] = 0.5 * np.arange(len(one))
        found, values = read(path)
        equal(values, flat(*data), f"pdebench groups {d}-D")
        assert found["layout"] == "pdebench" and found["dt"] == 0.5 and found["steps"] == 6
        assert found["splits"]["train"] == 18 and found["splits"]["test"] == 3, found["splits"]  # int(0.9 * 21) = 18
    with h5py.File(path, "r+") as file:
        del file["0007/data"]
        file["0007/data"] = np.zeros((4, 9, 6, 5, 2), np.float32)
    fails(path, "/0007/data")

    path = folder / "ns_incom_inhom_2d.h5"
    velocity, particles, force = (RNG.normal(size=s).astype(np.float32) for s in ((2, 5, 8, 6, 2), (2, 5, 8, 6, 1), (2, 8, 6, 2)))
    with h5py.File(path, "w") as file:
        for name, data in (("velocity", velocity), ("particles", particles), ("force", force)):
            file.create_dataset(name, data=data, compression="lzf", shuffle=True, chunks=(1,) * (data.ndim - 3) + data.shape[-3:])
        file["t"] = np.tile(0.25 * np.arange(5), (2, 1))
        file.attrs.update(config="grid: 512\n", latestIndex=2)
    found, values = read(path)
    repeated = np.repeat(force[:, None], 5, 1)
    state = np.concatenate([velocity, particles, repeated], -1)
    equal(values, flat(*[part for i in range(2) for part in (state[i], [2])]), "pdebench flow")
    assert found["dt"] == 0.25 and found["fields"] == ["velocity_x", "velocity_y", "particles", "force_x", "force_y"]


# ---- robomimic ----

def check_robomimic(folder):
    path, count = folder / "robot.hdf5", 12
    lengths = [3 + i % 4 for i in range(count)]
    demos = [dict(actions=RNG.normal(size=(t, 7)), states=wave(t, 9), side=RNG.integers(0, 256, (t, 6, 5, 3), np.uint8),
                  agentview_image=RNG.integers(0, 256, (t, 4, 5, 3), np.uint8), grip=RNG.normal(size=t), eef=wave(t, 2) + i)
             for i, t in enumerate(lengths)]
    for masks in ("S", "vlen", None):
        with h5py.File(path, "w") as file:
            data = file.create_group("data")
            data.attrs.update(total=sum(lengths), env_args=json.dumps({"env_name": "Lift", "env_kwargs": {"control_freq": 20}}))
            for i, one in enumerate(demos):
                group = data.create_group(f"demo_{i}")
                group.attrs.update(num_samples=lengths[i], model_file="<xml/>")
                group["actions"], group["rewards"] = one["actions"], np.zeros(lengths[i])
                group.create_dataset("states", data=one["states"], compression="lzf")
                for key in ("side", "agentview_image", "grip", "eef"):
                    group.create_dataset(f"obs/{key}", data=one[key], compression="gzip" if key == "side" else None)
            names = {"train": [f"demo_{i}" for i in (0, 2, 10)], "valid": ["demo_11"], "20_percent": ["demo_5"]}
            for key, value in names.items() if masks else ():
                file[f"mask/{key}"] = np.array(value, "S" if masks == "S" else h5py.string_dtype())
        kept = [0, 2, 10, 11] if masks else range(count)
        found, values = read(path)
        equal(values, flat(*[part for i in kept for part in (demos[i]["agentview_image"] / np.float32(255), demos[i]["actions"],
                                                               demos[i]["states"])]), f"robomimic, masks {masks}")
        assert found["layout"] == "robomimic" and found["name"] == "Lift" and found["dt"] == 0.05 and found["frames"] == [4, 5, 3]
        assert (found["splits"]["train"], found["splits"]["validation"]) == ((3, 1) if masks else (count, 0)), found["splits"]
    found, values = read(path, frames="side", state="obs")
    equal(values, flat(*[part for one in demos for part in (
        one["side"] / np.float32(255), one["actions"], np.column_stack([one["eef"], one["grip"]]))]), "robomimic, chosen")
    assert found["frames"] == [6, 5, 3] and found["fields"] == ["eef0", "eef1", "grip"], found["fields"]
    fails(path, "/data/demo_0/obs", frames="nothing")
    fails(path, "data.actions", actions="actions")
    with h5py.File(path, "r+") as file:
        file["data/demo_3"].attrs["num_samples"] = 99
    fails(path, "/data/demo_3@num_samples")
    with h5py.File(path, "r+") as file:
        file["mask/train"] = np.array(["demo_77"], "S")
    fails(path, "/mask/train", "demo_77")


# ---- told ----

def check_generic(folder):
    path = folder / "own.h5"
    video, field, control = RNG.integers(0, 256, (10, 6, 3, 8, 7), np.uint8), wave(6, 10, 2, 5, 4), RNG.normal(size=(10, 6, 2))
    with h5py.File(path, "w") as file:
        file.create_dataset("a/video", data=video, chunks=True, compression="lzf")                 # n t c h w
        file.create_dataset("field", data=field.astype(">f4"))                                     # t n c y x
        file["control"] = control.astype(np.float32)
        for i in range(10):
            file[f"runs/r{i}/obs"] = video[i, :3 + i % 4].transpose(0, 2, 3, 1)
            file[f"runs/r{i}/ctl"] = control[i, :3 + i % 4]
        file["runs/r10/obs"] = video[0].transpose(0, 2, 3, 1)
        file["runs/r10/ctl"] = control[0]
    fails(path, "none of them")
    told = dict(layout="generic", frames="/a/video:ntchw", state="/field:tncyx", actions="/control:ntc")
    found, values = read(path, **told)
    state = field.transpose(1, 0, 4, 3, 2)  # n t x y c
    frames = video.transpose(0, 1, 3, 4, 2) / np.float32(255)
    equal(values, flat(*[part for i in range(10) for part in (frames[i], control[i], state[i])]), "generic, arrays")
    assert found["frames"] == [8, 7, 3] and [a["points"] for a in found["grid"]["axes"]] == [4, 5]
    assert found["splits"]["train"] == 9 and found["splits"]["validation"] == 1
    found, values = read(path, layout="generic", frames="/runs/*/obs:thwc", actions="/runs/*/ctl:tc")
    equal(values, flat(*[part for i in range(11) for part in (
        frames[i % 10][:3 + i % 4 if i < 10 else 6], control[i % 10][:3 + i % 4 if i < 10 else 6])]), "generic, groups")
    with h5py.File(path, "r+") as file:
        file["turned"] = field[:, :, 0].astype(np.float32)                                         # t n y x
    for axes, expected in (("tnyx", state[..., :1]), ("tnxy", state[..., :1].swapaxes(2, 3)), ("ntcx", state[..., 0].swapaxes(0, 1))):
        found, values = read(path, layout="generic", state=f"/turned:{axes}")
        equal(values, flat(expected), f"generic, axes {axes}")
    for key, wrong, part in (("frames", "/a/video", "PATH:AXES"), ("frames", "/a/video:ntchq", "'q'"), ("frames", "/none:thwc", "/none"),
                             ("frames", "/a/video:nthwtc", "twice"), ("frames", "/a/video:thwc", "/a/video"), ("state", "/field:nc", "time"),
                             ("actions", "/control:tc", "/control"), ("frames", "/runs/*/obs:nthwc", "found both")):
        done = run(path, **dict(told, **{key: wrong}))
        assert done.returncode == 1 and part in done.stderr, f"{wrong}: {done.stderr}"
    assert "data.frames or data.state" in run(path, layout="generic").stderr
    assert "data.state" in run(path, layout="pdebench", state="/field:tx").stderr


# ---- damaged ----

def check_damaged(folder):
    """Cut anywhere: an error that names the file. A byte changed anywhere: read, or an error, never a crash. In HDF5's format of
    1.10, whose metadata carries checksums; check_fuzz.py has the older one too."""
    layouts = {"well": folder / "a.hdf5", "pdebench": folder / "b.hdf5", "robomimic": folder / "c.hdf5"}
    write_well(folder / "old.hdf5", 2, 4, (6, 5), STORAGES[2])
    with h5py.File(folder / "old.hdf5") as old, h5py.File(layouts["well"], "w", libver=("v110", "v110")) as file:
        for name in old:
            old.copy(name, file)
        file.attrs.update(old.attrs)
    with h5py.File(layouts["pdebench"], "w", libver=("v110", "v110")) as file:
        for i in range(3):
            file.create_dataset(f"{i:04d}/data", data=wave(4, 6, 5, 2), compression="lzf")
            file[f"{i:04d}/grid/x"], file[f"{i:04d}/grid/t"] = np.arange(6.0), np.arange(4.0)
    with h5py.File(layouts["robomimic"], "w", libver=("v110", "v110")) as file:
        for i in range(3):
            file[f"data/demo_{i}/actions"] = wave(4, 2)
            file.create_dataset(f"data/demo_{i}/obs/camera", data=np.zeros((4, 4, 4, 3), np.uint8), compression="lzf")
        file["mask/train"] = np.array([f"demo_{i}" for i in range(3)], h5py.string_dtype())
    bad = folder / "bad.hdf5"
    # A filter set up for smaller chunks than the array has: HDF5 would read beyond what it gives.
    with h5py.File(bad, "w") as file:
        file.create_dataset("tensor", data=wave(4, 7, 11), chunks=(2, 7, 11), compression="lzf")
    raw, chunk = bad.read_bytes(), struct.pack("<I", 2 * 7 * 11 * 8)
    assert raw.count(chunk) == 1
    for size in (8, 2 * 7 * 11 * 8 - 1, 2**31):
        bad.write_bytes(raw.replace(chunk, struct.pack("<I", size)))
        fails(bad, "/tensor", "LZF filter for chunks of 1232 bytes")
    for layout, path in layouts.items():
        raw = path.read_bytes()
        assert read(path)[0]["layout"] == layout
        for length in np.linspace(1, len(raw) - 1, 12).astype(int):
            bad.write_bytes(raw[:length])
            fails(bad)
        for _ in range(25):
            changed = bytearray(raw)
            changed[RNG.integers(len(raw))] ^= 1 << RNG.integers(8)
            bad.write_bytes(changed)
            done = run(bad, layout=layout)
            assert done.returncode == 0 or (done.returncode == 1 and str(bad) in done.stderr), f"{done.returncode}: {done.stderr}"


def main():
    with tempfile.TemporaryDirectory() as folder:
        for check in (check_well, check_pdebench, check_robomimic, check_generic, check_damaged):
            here = pathlib.Path(folder) / check.__name__
            here.mkdir()
            check(here)


if __name__ == "__main__":
    main()
