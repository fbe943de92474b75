#!/usr/bin/env python3
"""Weak scaling of `fwm simulate` over two ranks: twice the trajectories by two processes in as long as one takes for its own.

    python3 tests/bench/scaling.py [--build build] [--config configs/heat_plate.yaml] [--trajectories 32] [--pairs 5]

Each pair runs one process and then two, one thread each, under the same launcher, set-up and the writing of the dataset included;
scaling is 2 t(1) / t(2): 2 at best. Printed are all pairs and their median. Needs mpirun and two free cores.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time


def seconds(options, ranks, folder):
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), f"{options.build}/fwm", "simulate", options.config, "--quiet", "--force",
               "--out", f"{folder}/{ranks}.h5", "--set", f"simulate.train={ranks * options.trajectories}", "--set", "trainer.threads=1"]
    for split in ("validation", "test", "test_ood"):
        command += ["--set", f"simulate.{split}=0"]
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.environ.get("FWM_BUILD", "build"))
    parser.add_argument("--config", default="configs/heat_plate.yaml")
    parser.add_argument("--trajectories", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.pairs):
            one, two = seconds(options, 1, folder), seconds(options, 2, folder)
            found.append(2 * one / two)
            print(f"one rank {one:.2f} s, two ranks {two:.2f} s, scaling {found[-1]:.3f}", flush=True)
    print(f"median {statistics.median(found):.3f} of {len(found)}")


if __name__ == "__main__":
    main()
