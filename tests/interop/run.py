"""Runs every check_*.py of this folder in its own process, one after the other, from the repository's root.

A check exits 0 when it passed, 77 when it could not run here (it says why), anything else when it failed. The last line
says how many passed and failed; the exit status is 1 when one failed, or when none was found.
"""

import os
import pathlib
import subprocess
import sys
import time

SKIPPED = 77


def main():
    here = pathlib.Path(__file__).resolve().parent
    checks = sorted(here.glob("check_*.py"))
    environment = dict(os.environ, FWM_BUILD=os.path.abspath(os.environ.get("FWM_BUILD", "build")))
    passed = failed = skipped = 0
    for check in checks:
        start = time.monotonic()
        try:
            run = subprocess.run([sys.executable, str(check)], cwd=here.parent.parent, env=environment, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
            status, output = run.returncode, run.stdout
        except subprocess.TimeoutExpired as late:
            status, output = 1, f"{late.stdout or ''}\nno answer within {late.timeout} seconds"
        word = {0: "passed", SKIPPED: "skipped"}.get(status, "FAILED")
        passed += status == 0
        skipped += status == SKIPPED
        failed += status not in (0, SKIPPED)
        print(f"  {word:8}{check.stem}  {time.monotonic() - start:.1f} s", flush=True)
        if status != 0:
            print("".join(f"    {line}\n" for line in output.strip().splitlines()), end="", flush=True)
    if not checks:
        print(f"no check_*.py in {here}")
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
