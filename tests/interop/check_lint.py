"""tests/lint finds each thing that it is there to find, and nothing in a tree where nothing is wrong."""

import pathlib
import subprocess
import sys
import tempfile

LINT = pathlib.Path("tests/lint").resolve()
README = "# a room\n"
CLEAN = {
    "model/base/a.h": "int a;\n",
    "model/autodiff/graph.h": '#include "model/base/a.h"\n',
    "model/nn/b.h": '#include "model/autodiff/graph.h"\n',
    "model/part.c": '#include "model/nn/b.h"\n#include "ops.def"\n#include <math.h>\n',
    "physics/p.c": '#include "model/autodiff/graph.h"\n#include "physics/q.h"\n',
    "data/d.c": '#include "model/base/a.h"\n',
    "train/t.c": '#include "data/d.h"\n#include "physics/p.h"\n#include "model/part.h"\n',
    "tools/commands/x.c": '#include "train/t.h"\n',
    **{f"{folder}/README.md": README for folder in
       ("model/base", "model/autodiff", "model/nn", "model", "physics", "data", "train", "tools/commands")},
}
# What is added to the clean tree, and what must then be said.
WRONG = [
    ("model/part.c", '#include "physics/p.h"\n', "model may include itself and"),
    ("model/base/a.c", '#include "model/autodiff/graph.h"\n', "model/base may include itself and nothing else"),
    ("model/autodiff/x.c", '#include "model/nn/b.h"\n', "model/autodiff may include itself and model/base"),
    ("model/nn/x.c", '#include "model/transport/s.h"\n', "model/nn may include itself and"),
    ("physics/x.c", '#include "model/part.h"\n', "physics may include itself and"),
    ("physics/x.c", '#include "data/d.h"\n', "physics may include itself and"),
    ("data/x.c", '  #  include "physics/p.h"\n', "data may include itself and model/base"),
    ("train/x.c", '#include "tools/command.h"\n', "train may include itself and"),
    ("train/x.c", '#include "../data/d.h"\n', "expected a path from the root"),
    ("train/long.c", "int a;\n" * 801, "801 lines: at most 800"),
    ("train/x.c", "/* TO" "DO: later */\n", "line 1: TO" "DO: finish it"),
    ("Makefile", "all: # FIX" "ME\n", "line 1: FIX" "ME: finish it"),
    ("train/x.c", "int a; \n", "line 1: white space at its end"),
    ("tools/export/x.c", "int a;\n", "tools/export: no README.md"),
]


def lint(files):
    with tempfile.TemporaryDirectory() as name:
        for path, text in files.items():
            place = pathlib.Path(name) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return subprocess.run([sys.executable, LINT, name], capture_output=True, text=True)


def main():
    clean = lint(CLEAN)
    assert clean.returncode == 0, clean.stdout
    for path, text, expected in WRONG:
        found = lint({**CLEAN, path: text})
        assert found.returncode == 1 and expected in found.stdout, (path, text[:40], found.stdout)
        assert found.stdout.strip().endswith("1 findings"), (path, text[:40], found.stdout)
    print(f"{len(WRONG)} kinds of findings")


if __name__ == "__main__":
    main()
