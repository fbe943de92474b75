"""Files in the layouts of others, written by h5py, train as they are and are evaluated: PDEBench on a periodic line with its law
(the cheap simulation is computed once, kept, and not believed when the data change), a problem without time, The Well in the plane,
robomimic with video and without. `fwm inspect --fit` finds the parameters that made the data."""

import json
import os
import pathlib
import subprocess
import tempfile

import h5py
import numpy as np

FWM = pathlib.Path(os.environ["FWM_BUILD"]) / "fwm"
RNG = np.random.default_rng(11)
SMALL = ["model.encoder.widths=[8,16,16]", "model.predictor.grid=16", "model.predictor.widths=[8,16]", "model.decoder.width=8",
         "model.latent.size=4", "trainer.steps=2", "schedule.warmup=1", "trainer.threads=1", "data.batch=2"]
NO_LAW = ["physics.equation=none", "model.predictor.prior=none", "objective.physics=0"]


def fwm(*arguments, fails=None):
    done = subprocess.run([str(FWM), *map(str, arguments)], capture_output=True, text=True)
    if fails is None:
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
    else:
        assert done.returncode == 1 and fails in done.stderr, f"expected '{fails}' in: {done.stderr}"
    return done


def train(folder, name, file, *sets, fails=None):
    config = folder / f"{name}.yaml"
    config.write_text(f"experiment: {name}\ndata: {{file: {file}, clip: 2}}\n")
    options = [part for one in (*SMALL, *sets) for part in ("--set", one)]
    done = fwm("train", config, "--out", folder / name, *options, fails=fails)
    if fails is None:
        fwm("eval", folder / name / "last.ckpt", "--set", "eval.split=train", "--set", "eval.horizon=1", "--set", "eval.horizons=[1]",
            "--set", "eval.trajectories=2")
        return json.loads((folder / name / "metrics.json" if (folder / name / "metrics.json").exists()
                           else folder / name / "metrics_train.json").read_text()), done.stderr
    return None, done.stderr


def heat_line(n=48, steps=9, dt=0.02, k=0.3):
    """u_t = k u_xx on a periodic line, exactly; PDEBench's arrays, with the extra leading axis of users' own files."""
    x = (np.arange(n) + 0.5) / n
    u = np.zeros((12, steps, n))
    for i in range(12):
        for m in (1, 2, 3):
            a, p = RNG.normal(), RNG.uniform(0, 6)
            decay = np.exp(-k * (2 * np.pi * m) ** 2 * dt * np.arange(steps))
            u[i] += a / m * decay[:, None] * np.cos(2 * np.pi * m * x + p)
    return x, dt * np.arange(steps), u


def check_line(folder):
    file = folder / "line.hdf5"
    x, t, u = heat_line(dt=0.002)
    with h5py.File(file, "w") as f:
        f.create_dataset("tensor", data=u[None].astype(np.float32), compression="lzf", shuffle=True)
        f["x-coordinate"], f["t-coordinate"] = x.astype(np.float32), np.append(t, 2 * t[-1] - t[-2]).astype(np.float32)
        f.attrs["made_by"] = "a user"
    law = ["data.edges=periodic", "physics.equation=advection_diffusion", "physics.parameters={diffusivity: 0.3, wind_x: 0}"]
    figures, said = train(folder, "line", file, *law)
    kept = sorted(folder.glob("line.hdf5.s_phy-*.h5"))
    assert len(kept) == 1 and "once" in said, said
    assert figures["physics_only"]["state"] is not None and figures["model"]["frames"] is not None
    with h5py.File(kept[0]) as f:
        cheap, nodes = f["state"][:, -1, ::2, 0], f["mesh/vertices"][:]
    points = np.arange(0, 48, 2) / 48 + x[0]
    assert cheap.shape == (12, 24) and np.allclose(np.sort(np.unique(nodes[:, 0]))[:24], points, atol=1e-6)
    error = np.linalg.norm(cheap - u[:, -1, ::2]) / np.linalg.norm(u[:, -1, ::2])
    assert error < 0.05, f"the cheap simulation is {error:.3f} off the exact solution"
    stamp = kept[0].stat().st_mtime_ns
    train(folder, "again", file, *law)
    assert kept[0].stat().st_mtime_ns == stamp, "the cheap simulation was computed again"
    with h5py.File(file, "r+") as f:
        f["tensor"][...] = 2 * f["tensor"][...]
    train(folder, "anew", file, *law)
    assert len(list(folder.glob("line.hdf5.s_phy-*.h5"))) == 2, "the data changed, the cheap simulation did not"
    found = json.loads(fwm("inspect", file, "--json", "--fit", "advection_diffusion", "--set", "data.edges=periodic", "--set",
                           "physics.learn=[diffusivity, wind_x]", "--set",
                           "physics.parameters={diffusivity: 0.1, wind_x: 0.1}").stdout)["fit"]
    fitted = {name: one["fitted"] for name, one in found["parameters"].items()}
    assert abs(fitted["diffusivity"] - 0.3) < 0.01 and abs(fitted["wind_x"]) < 0.01, found
    assert found["explained"] > 0.999 and found["residual"]["fitted"] < 0.01 * found["residual"]["start"], found
    train(folder, "unknown", file, *law[1:], "data.fields=[velocity]", fails="data.fields: expected channels of the state")


def check_plane(folder):
    base = folder / "wave"
    (base / "data/train").mkdir(parents=True)
    n, steps = (12, 10), 6
    with h5py.File(base / "data/train/one.hdf5", "w") as f:
        f.attrs.update(dataset_name="wave", grid_type="cartesian", n_spatial_dims=2, n_trajectories=3, simulation_parameters=[])
        f.create_group("dimensions").attrs["spatial_dims"] = ["x", "y"]
        for name, values in (("time", 0.1 * np.arange(steps)), ("x", np.arange(n[0]) / 12), ("y", np.linspace(0, 1, n[1]))):
            f["dimensions"].create_dataset(name, data=values.astype(np.float32)).attrs["sample_varying"] = False
        for order, names in enumerate((["p"], ["v"], [])):
            f.create_group(f"t{order}_fields").attrs["field_names"] = names
        for order, name in ((0, "p"), (1, "v")):
            field = f[f"t{order}_fields"].create_dataset(name, data=RNG.normal(size=(3, steps, *n, *[2] * order)).astype(np.float32),
                                                         chunks=True, compression="gzip", shuffle=True)
            field.attrs.update(dim_varying=[True, True], sample_varying=True, time_varying=True)
        f.create_group("scalars").attrs["field_names"] = []
        for axis, kind, mask in (("x", "PERIODIC", [0, n[0] - 1]), ("y", "WALL", [0, n[1] - 1])):
            one = f.create_group(f"boundary_conditions/{axis}_{kind.lower()}")
            one.attrs.update(associated_dims=[axis], associated_fields=[], bc_type=kind, sample_varying=False, time_varying=False)
            one.create_dataset("mask", data=np.isin(np.arange(n["xy".index(axis)]), mask))
    mesh = json.loads(fwm("inspect", base, "--json").stdout)["mesh"]
    assert mesh["nodes"] == 120 and mesh["cells"] == 12 * 9 and set(mesh["boundary"]) == {"bottom", "top"}, mesh
    figures, _ = train(folder, "plane", base, *NO_LAW, "data.draw=v_x", "data.augment.symmetries=[mirror_x, mirror_y]",
                       "data.augment.frame_noise=0.02")
    assert figures["physics_only"]["state"] is None and figures["model"]["frames"] is not None
    train(folder, "turned", base, *NO_LAW, "data.augment.symmetries=[rotate]", fails="rotate needs a square")


def check_still(folder):
    file = folder / "still.hdf5"
    with h5py.File(file, "w") as f:
        f["nu"], f["tensor"] = RNG.random((8, 9, 9), np.float32), RNG.random((8, 1, 9, 9), np.float32)
        f["x-coordinate"] = f["y-coordinate"] = np.linspace(0, 1, 9, dtype=np.float32)
        f.attrs["beta"] = 1.0
    train(folder, "still", file, *NO_LAW, "data.fields=[u]", "data.draw=nu", "data.frame_range=[0,1]")
    train(folder, "timed", file, "physics.equation=conduction", "physics.parameters={conductivity: 1}", "data.fields=[u]",
          fails="problems without time")


def check_robots(folder):
    for images in (True, False):
        file = folder / f"robot{images:d}.hdf5"
        with h5py.File(file, "w") as f:
            f.create_group("data").attrs.update(total=np.int64(30), env_args=json.dumps({"env_name": "Toy", "env_type": 1}))
            for i in range(3):
                demo = f.create_group(f"data/demo_{i}")
                demo.attrs["num_samples"] = np.int64(10)
                demo["actions"], demo["states"] = RNG.uniform(-1, 1, (10, 4)), RNG.normal(size=(10, 21))
                if images:
                    demo.create_dataset("obs/agentview_image", data=RNG.integers(0, 256, (10, 16, 24, 3), np.uint8),
                                        compression="gzip")
            f["mask/train"] = np.array([b"demo_0", b"demo_2"], "S")
            f["mask/valid"] = np.array([b"demo_1"], "S")
        figures, _ = train(folder, f"robot{images:d}", file, *NO_LAW)
        assert (figures["model"]["frames"] is not None) == images
        assert figures["model"]["state"] is not None and figures["physics_only"]["state"] is None


def main():
    with tempfile.TemporaryDirectory() as name:
        for check in (check_line, check_plane, check_still, check_robots):
            check(pathlib.Path(name))
    print("recorded datasets: a line with its law, the plane, a problem without time, robots with video and without")


if __name__ == "__main__":
    main()
