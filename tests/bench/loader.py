"""The loader beside PyTorch's DataLoader over h5py, in one run: random clips of 8 frames of 64 x 64 x 3 bytes, batches of 16, from files
in the page cache, in chunks of 8 frames, in one piece, and with gzip at level 1. Rounds alternate between the two; medians.

    PYTHON tests/bench/loader.py [--fwm build/fwm] [--rounds 3]

needs a Python with PyTorch, h5py and NumPy. DataLoader: the best of 0, 1 and 2 worker processes. Bytes of frames as stored count, for
both; `fwm bench` reads the raw file at the same places in its own rounds (its column "fraction of")."""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import h5py
import numpy as np
import torch

TRAJECTORIES, STEPS, EDGE, CLIP, BATCH = 64, 64, 64, 8, 16
STORAGES = {"chunked": dict(chunks=(1, CLIP, EDGE, EDGE, 3)), "contiguous": {},
            "gzip": dict(chunks=(1, CLIP, EDGE, EDGE, 3), compression="gzip", compression_opts=1, shuffle=True)}


def draw():
    """A slow wave under a camera's noise, as in tools/bench/cases/loader.c."""
    t, y, x = np.meshgrid(np.arange(STEPS), np.arange(EDGE), np.arange(EDGE), indexing="ij")
    for i in range(TRAJECTORIES):
        wave = np.sin(0.1 * (x + t) + i) * np.cos(0.07 * y)
        noise = np.random.default_rng(i).integers(0, 11, (STEPS, EDGE, EDGE, 3))
        yield (120 + 90 * wave[..., None] + noise).astype(np.uint8)


class Clips(torch.utils.data.Dataset):
    def __init__(self, path):
        self.path, self.file = path, None

    def __len__(self):
        return TRAJECTORIES * (STEPS - CLIP + 1)

    def __getitem__(self, index):
        if self.file is None:  # each worker opens its own
            self.file = h5py.File(self.path)
            self.frames = self.file["frames"]
        i, t = divmod(index, STEPS - CLIP + 1)
        return torch.from_numpy(self.frames[i, t:t + CLIP])


def torch_rate(path, workers, batches):
    loader = torch.utils.data.DataLoader(Clips(path), BATCH, shuffle=True, num_workers=workers, drop_last=True,
                                         persistent_workers=False, prefetch_factor=2 if workers else None)
    it, n = iter(loader), 0
    next(it)  # workers are up
    start = time.perf_counter()
    for batch in it:
        n += batch.numel()
        if n >= batches * BATCH * CLIP * EDGE * EDGE * 3:
            break
    return n / (time.perf_counter() - start) / 1e9


def fwm_rates(program, seconds):
    done = subprocess.run([program, "bench", "--json", "--quiet", f"--seconds={seconds}", *[f"loader_{name}" for name in STORAGES],
                           "loader_floats"], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    return {one["name"].removeprefix("loader_"): (one["value"], one["fraction"]) for one in report["results"]}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fwm", default="build/fwm")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=8)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    ours, theirs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, storage in STORAGES.items():
            with h5py.File(os.path.join(folder, name), "w") as file:
                frames = file.create_dataset("frames", (TRAJECTORIES, STEPS, EDGE, EDGE, 3), np.uint8, **storage)
                for i, one in enumerate(draw()):
                    frames[i] = one
        for _ in range(options.rounds):
            for name, value in fwm_rates(options.fwm, options.seconds).items():
                ours.setdefault(name, []).append(value)
            for name in STORAGES:
                for workers in (0, 1, 2):
                    rate = torch_rate(os.path.join(folder, name), workers, 12 if name == "gzip" else 60)
                    theirs.setdefault((name, workers), []).append(rate)
    print(f"{'file':12}{'fwm GB/s':>10}{'of pread':>10}{'DataLoader + h5py GB/s':>26}{'workers':>9}{'ratio':>8}")
    for name in STORAGES:
        rate, fraction = (statistics.median(x) for x in zip(*ours[name]))
        best, workers = max((statistics.median(theirs[name, w]), w) for w in (0, 1, 2))
        print(f"{name:12}{rate:10.3f}{fraction:10.2f}{best:26.3f}{workers:9}{rate / best:8.1f}")
    rate, fraction = (statistics.median(x) for x in zip(*ours["floats"]))
    print(f"{'as floats':12}{rate:10.3f}{fraction:10.2f}   (bytes of the file; chunked)")


if __name__ == "__main__":
    main()
