"""The loader beside PyTorch's DataLoader over h5py and beside h5py alone, in one run: random clips of 8 frames of 64 x 64 x 3 bytes,
batches of 16, from files in the page cache, in chunks of 8 frames, in one piece, and with gzip at level 1. Rounds alternate between
the three; medians, and of the ratios the medians over the rounds.

    PYTHON tests/bench/loader.py [--fwm build/fwm] [--rounds 3] [--only gzip,chunked]

needs a Python with PyTorch, h5py and NumPy. DataLoader: the best of 0, 1 and 2 worker processes. h5py alone: clips read straight into
one batch, in one process. Bytes of frames as stored count, for all; `fwm bench` reads the raw file at the same places in its own
rounds (its column "fraction of")."""

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


def h5py_rate(path, batches):
    """No loader at all: the least that a user of h5py waits."""
    with h5py.File(path) as file:
        frames, batch = file["frames"], np.empty((BATCH, CLIP, EDGE, EDGE, 3), np.uint8)
        order = np.random.default_rng(0).permutation(TRAJECTORIES * (STEPS - CLIP + 1))[:batches * BATCH]
        start = time.perf_counter()
        for k, index in enumerate(order):
            i, t = divmod(int(index), STEPS - CLIP + 1)
            frames.read_direct(batch, np.s_[i, t:t + CLIP], np.s_[k % BATCH])
        return batches * batch.nbytes / (time.perf_counter() - start) / 1e9


def fwm_rates(program, seconds, names):
    done = subprocess.run([program, "bench", "--json", "--quiet", f"--seconds={seconds}", *[f"loader_{name}" for name in names]],
                          capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    return {one["name"].removeprefix("loader_"): (one["value"], one["fraction"]) for one in report["results"]}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fwm", default="build/fwm")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=int, default=8)
    arguments.add_argument("--only", default=",".join(STORAGES), help="of " + ", ".join(STORAGES))
    options = arguments.parse_args()
    names = [name for name in STORAGES if name in options.only.split(",")]
    if not names:
        arguments.error(f"--only: expected some of {', '.join(STORAGES)}, found {options.only}")
    torch.set_num_threads(1)
    ours, fractions, theirs, bare = ({name: [] for name in STORAGES} for _ in range(4))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            with h5py.File(os.path.join(folder, name), "w") as file:
                frames = file.create_dataset("frames", (TRAJECTORIES, STEPS, EDGE, EDGE, 3), np.uint8, **STORAGES[name])
                for i, one in enumerate(draw()):
                    frames[i] = one
        for _ in range(options.rounds):
            for name, (rate, fraction) in fwm_rates(options.fwm, options.seconds, names).items():
                ours[name].append(rate)
                fractions[name].append(fraction)
            for name in names:
                path, batches = os.path.join(folder, name), 12 if name == "gzip" else 60
                theirs[name].append([torch_rate(path, workers, batches) for workers in (0, 1, 2)])
                bare[name].append(h5py_rate(path, batches))
    print(f"{'file':12}{'fwm GB/s':>10}{'of pread':>10}{'DataLoader GB/s':>17}{'workers':>9}{'ratio':>7}{'h5py GB/s':>11}{'ratio':>7}")
    for name in names:
        by_workers = [statistics.median(rates) for rates in zip(*theirs[name])]
        best = by_workers.index(max(by_workers))
        to_loader = statistics.median(a / b[best] for a, b in zip(ours[name], theirs[name]))
        to_h5py = statistics.median(a / b for a, b in zip(ours[name], bare[name]))
        print(f"{name:12}{statistics.median(ours[name]):10.3f}{statistics.median(fractions[name]):10.2f}{by_workers[best]:17.3f}{best:9}"
              f"{to_loader:7.1f}{statistics.median(bare[name]):11.3f}{to_h5py:7.1f}")


if __name__ == "__main__":
    main()
