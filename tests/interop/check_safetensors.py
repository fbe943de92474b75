"""Our safetensors files in the format's own library, and its files in our reader."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM = pathlib.Path(os.environ["FWM_BUILD"]) / "tests/train/program_tensors"


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True).stdout


def check_ours(folder):
    path = folder / "ours.safetensors"
    run("write", str(path))
    expected = {
        "u8": np.array([0, 1, 127, 128, 255], np.uint8),
        "f32": np.array([0, -1.5, 3.25, 1e30, -0.0, 0.1], np.float32).reshape(1, 2, 3),
        "i64": np.array([-(2**63), 2**63 - 1], np.int64),
        "i32": np.array([-(2**31), 0, 2**31 - 1], np.int32).reshape(3, 1),
        'f64/é "x"': np.array([0.1, -1e300, 5e-324]),
        "scalar": np.array(3.25, np.float32),
        "empty": np.zeros((0, 4)),
    }
    found = load_file(path)
    assert found.keys() == expected.keys(), found.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name
    with safe_open(path, framework="np") as file:
        assert file.metadata() == {"format": "test", "text": 'two\nlines "quoted"'}, file.metadata()
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert (8 + length) % 64 == 0, "data must begin at a multiple of 64"


def check_theirs(folder):
    path = folder / "theirs.safetensors"
    random = np.random.default_rng(1)
    arrays = {
        "a.weight": random.normal(size=(3, 5)).astype(np.float32),
        "b": random.normal(size=(2, 1, 2)),
        "n": random.integers(-(2**62), 2**62, size=7),
        "m": random.integers(-(2**31), 2**31, size=(2, 2)).astype(np.int32),
        "bytes": random.integers(0, 256, size=11).astype(np.uint8),
        "scalar": np.array(2.5),
        "none": np.zeros((3, 0), np.float32),
    }
    save_file(arrays, path, metadata={"k": "ü\t"})
    found = json.loads(run("read", str(path)))
    assert found["metadata"] == {"k": "ü\t"}, found["metadata"]
    assert found["tensors"].keys() == arrays.keys(), found["tensors"].keys()
    for name, array in arrays.items():
        tensor = found["tensors"][name]
        assert tuple(tensor["shape"]) == array.shape, name
        back = np.array(tensor["values"], array.dtype).reshape(array.shape)
        assert back.tobytes() == array.tobytes(), name


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_ours(pathlib.Path(folder))
        check_theirs(pathlib.Path(folder))
    print("both ways, seven tensors each")


if __name__ == "__main__":
    main()
