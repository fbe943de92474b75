"""A training from a file of 50 GB: how much memory it takes beside its plan. The file is sparse (its blocks are never written, so it
takes a few megabytes of a disk and reads as zeros), the training is an ordinary one of a few dozen steps.

    PYTHON tests/bench/sparse.py [--fwm build/fwm] [--gigabytes 50] [--steps 30] [--only contiguous,chunked,grids]

needs a Python with h5py. Three files: video in one piece, video in chunks of 8 frames (half a million of them), and PDEBench's array of
states on a grid. Printed: the process's peak resident memory, the plan's workspace (`memory_plan` of `fwm train --json`), and what is
left of the one without the other; status 1 where that exceeds 200 MB."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

LIMIT, STEPS, EDGE = 200, 100, 64


def hole(file, name, kind, shape, chunk=None):
    """An array whose place is set aside and never written."""
    how = h5p.create(h5p.DATASET_CREATE)
    how.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    how.set_fill_time(h5d.FILL_TIME_NEVER)
    if chunk:
        how.set_chunk(chunk)
    h5d.create(file.id, name.encode(), h5t.py_create(np.dtype(kind)), h5s.create_simple(shape), how)


def video(chunk):
    def write(path, size):
        n = int(size / (STEPS * EDGE * EDGE * 3))
        with h5py.File(path, "w", libver=("v110", "v110")) as file:
            hole(file, "video", np.uint8, (n, STEPS, EDGE, EDGE, 3), chunk)
            hole(file, "state", np.float32, (n, STEPS, 4))
    return write, "layout: generic, frames: '/video:nthwc', state: '/state:ntc'"


def grids():
    def write(path, size):
        with h5py.File(path, "w") as file:
            hole(file, "tensor", np.float32, (int(size / (STEPS * 1024 * 4)), STEPS, 1024))
            file["x-coordinate"], file["t-coordinate"] = np.linspace(0, 1, 1024), np.linspace(0, 1, STEPS)
    return write, "layout: pdebench, edges: periodic, frame: [16, 64]"


FILES = {"contiguous": video(None), "chunked": video((1, 8, EDGE, EDGE, 3)), "grids": grids()}


def train(program, folder, path, data, steps):
    config = os.path.join(folder, "sparse.yaml")
    with open(config, "w") as file:
        file.write(f"experiment: sparse\ndata: {{file: {path}, {data}, batch: 8, clip: 4}}\nphysics: {{equation: none}}\n"
                   f"model: {{predictor: {{prior: none}}}}\nobjective: {{physics: 0}}\nschedule: {{warmup: 1}}\n"
                   f"trainer: {{steps: {steps}, eval_every: 0, save_every: 0}}\neval: {{trajectories: 16}}\n")
    command = [program, "train", config, "--out", os.path.join(folder, "run"), "--json", "--quiet"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"sparse.py: fwm train failed with status {process.returncode}")
    return json.loads(text), usage.ru_maxrss * 1024, time.perf_counter() - start


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fwm", default="build/fwm")
    arguments.add_argument("--gigabytes", type=float, default=50)
    arguments.add_argument("--steps", type=int, default=30)
    arguments.add_argument("--only", default=",".join(FILES), help="of " + ", ".join(FILES))
    options = arguments.parse_args()
    over = False
    print(f"{'file':12}{'GB':>7}{'on disk MB':>12}{'chunks':>9}{'seconds':>9}{'peak MB':>9}{'plan MB':>9}{'beside MB':>11}")
    for name in options.only.split(","):
        write, data = FILES[name]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sparse.h5")
            write(path, options.gigabytes * 1e9)
            about = os.stat(path)
            report, peak, seconds = train(options.fwm, folder, path, data, options.steps)
            beside = (peak - report["memory_plan"]) / 1e6
            over |= beside > LIMIT
            print(f"{name:12}{about.st_size / 1e9:7.1f}{about.st_blocks * 512 / 1e6:12.1f}{seconds:9.1f}{peak / 1e6:9.0f}"
                  f"{report['memory_plan'] / 1e6:9.0f}{beside:11.0f}", flush=True)
    return over


if __name__ == "__main__":
    sys.exit(main())
