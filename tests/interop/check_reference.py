"""Loss and every gradient of the reference models S and M against PyTorch, from the same weights and data: a few steps of
tests/bench/compare.py; and the optimisers against torch.optim: tests/bench/optimizers.py. By the first Python that has torch and
numpy (BENCH_PYTHON names candidates; Debian's python3-torch is one)."""

import os
import pathlib
import subprocess
import sys

SIZES = (["--models", "s", "--batch", "1", "--clip", "3"], ["--models", "m", "--batch", "1"])


def has_torch(python):
    try:
        return subprocess.run([python, "-c", "import numpy, torch"], capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main():
    candidates = os.environ.get("BENCH_PYTHON", "/usr/bin/python3").split()
    python = next((p for p in candidates if has_torch(p)), None)
    if python is None:
        print(f"skipped: no torch and numpy for {' or '.join(candidates)}: S, M and the optimisers are NOT compared with PyTorch "
              "here; apt-get install python3-torch, or set BENCH_PYTHON")
        sys.exit(77)
    programs = pathlib.Path(os.environ["FWM_BUILD"]) / "tests"
    subprocess.run([python, "tests/bench/optimizers.py", programs / "train/program_optimizer"], check=True)
    for size in SIZES:
        subprocess.run([python, "tests/bench/compare.py", "--program", programs / "bench/program_reference", "--steps", "3", *size], check=True)


if __name__ == "__main__":
    main()
