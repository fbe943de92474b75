"""Whether training steps wait for their data: a world model on what the reference model S is given (16 clips of 8 frames of 64 x 64 x 3
bytes and 1024 states), read from files in the page cache, in chunks of 8 frames and with gzip at level 1.

    PYTHON tests/bench/waiting.py [--fwm build/fwm] [--steps 20]

needs a Python with h5py. Prints what `fwm train --profile` says of its waits: for the first batch, and a step for the others; status 1
where the others wait for more than 1 % of the time."""

import argparse
import os
import re
import subprocess
import sys
import tempfile

import h5py
import numpy as np

TRAJECTORIES, STEPS, EDGE, CLIP, LIMIT = 32, 64, 64, 8, 1.0
STORAGES = {"chunked": {}, "gzip": dict(compression="gzip", compression_opts=1, shuffle=True)}


def write(path, storage):
    rng = np.random.default_rng(0)
    t, y, x = np.meshgrid(np.arange(STEPS), np.arange(EDGE), np.arange(EDGE), indexing="ij")
    with h5py.File(path, "w") as file:
        frames = file.create_dataset("video", (TRAJECTORIES, STEPS, EDGE, EDGE, 3), np.uint8, chunks=(1, CLIP, EDGE, EDGE, 3), **storage)
        state = file.create_dataset("state", (TRAJECTORIES, STEPS, 32, 32), np.float32, chunks=(1, CLIP, 32, 32), **storage)
        for i in range(TRAJECTORIES):
            wave = np.sin(0.1 * (x + t) + i) * np.cos(0.07 * y)
            frames[i] = (120 + 90 * wave[..., None] + rng.integers(0, 11, (STEPS, EDGE, EDGE, 3))).astype(np.uint8)
            state[i] = wave[:, ::2, ::2]


def train(program, folder, path, steps):
    config = os.path.join(folder, "waiting.yaml")
    with open(config, "w") as file:
        file.write(f"experiment: waiting\ndata: {{file: {path}, layout: generic, frames: '/video:nthwc', state: '/state:ntyx', batch: 16, "
                   f"clip: {CLIP}}}\nphysics: {{equation: none}}\nmodel: {{predictor: {{prior: none}}}}\nobjective: {{physics: 0}}\n"
                   f"schedule: {{warmup: 1}}\ntrainer: {{steps: {steps}, eval_every: 0, save_every: 0}}\neval: {{trajectories: 1}}\n")
    done = subprocess.run([program, "train", config, "--out", os.path.join(folder, "run"), "--profile", "--quiet"], capture_output=True,
                          text=True)
    if done.returncode != 0:
        sys.exit(f"waiting.py: fwm train failed: {done.stderr}")
    return re.search(r"waiting for batches: (\S+) ms for the first; (\S+) ms a step for the (\d+) others, (\S+) % of (\S+) s",
                     done.stdout)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fwm", default="build/fwm")
    arguments.add_argument("--steps", type=int, default=20)
    options = arguments.parse_args()
    over = False
    print(f"{'file':10}{'first ms':>10}{'a step ms':>11}{'steps':>7}{'ms each':>9}{'% waited':>10}")
    for name, storage in STORAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "waiting.h5")
            write(path, storage)
            first, later, count, share, seconds = train(options.fwm, folder, path, options.steps).groups()
            over |= float(share) > LIMIT
            print(f"{name:10}{first:>10}{later:>11}{count:>7}{1e3 * float(seconds) / (int(count) + 1):9.0f}{share:>10}", flush=True)
    return over


if __name__ == "__main__":
    sys.exit(main())
