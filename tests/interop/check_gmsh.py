"""Files of gmsh that meshio writes, in format 2.2 as text and binary, are read with their cells, regions and boundaries."""

import json
import os
import pathlib
import subprocess
import tempfile

import meshio
import numpy as np

BUILD = pathlib.Path(os.environ["FWM_BUILD"])
N = 3


def lattice(dim):
    axes = np.meshgrid(*[np.linspace(0, 1, N + 1)] * dim, indexing="ij")
    points = np.stack([axis.ravel(order="F") for axis in axes] + [np.zeros((N + 1) ** dim)] * (3 - dim), 1)
    return points, lambda *index: sum(i * (N + 1) ** d for d, i in enumerate(index))


def square(kind):
    points, at = lattice(2)
    cells = [[at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)] for j in range(N) for i in range(N)]
    if kind == "triangle":
        cells = [c for a, b, d, e in cells for c in ([a, b, d], [a, d, e])]
    faces = [[at(i, 0), at(i + 1, 0)] for i in range(N)] + [[at(i + 1, N), at(i, N)] for i in range(N)]
    return points, np.array(cells), "line", np.array(faces), [1] * N + [2] * N


def cube(kind):
    points, at = lattice(3)
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    cells = [[at(i + a, j + b, k + c) for a, b, c in corners] for k in range(N) for j in range(N) for i in range(N)]
    square_faces = [[at(i, j, 0), at(i + 1, j, 0), at(i + 1, j + 1, 0), at(i, j + 1, 0)] for j in range(N)
                    for i in range(N)]
    if kind == "hexahedron":
        return points, np.array(cells), "quad", np.array(square_faces), [1] * N * N
    cut = [(0, 1, 2, 6), (0, 2, 3, 6), (0, 1, 5, 6), (0, 4, 5, 6), (0, 3, 7, 6), (0, 4, 7, 6)]
    cells = [[c[i] for i in four] for c in cells for four in cut]
    faces = [[c[i] for i in three] for c in square_faces for three in ((0, 1, 2), (0, 2, 3))]
    return points, np.array(cells), "triangle", np.array(faces), [1] * 2 * N * N


def write(path, kind, binary):
    points, cells, face, faces, sides = (square if kind in ("triangle", "quad") else cube)(kind)
    dim = 2 if kind in ("triangle", "quad") else 3
    far = points[cells][:, :, 0].mean(axis=1) > 1 / 3
    groups = [np.where(far, 12, 11), np.array(sides)]
    mesh = meshio.Mesh(points, [(kind, cells), (face, faces)],
                       cell_data={"gmsh:physical": groups, "gmsh:geometrical": groups},
                       field_data={"near": np.array([11, dim]), "far": np.array([12, dim]),
                                   "floor": np.array([1, dim - 1]), "lid": np.array([2, dim - 1])})
    meshio.gmsh.write(path, mesh, fmt_version="2.2", binary=binary)
    return dim, len(points), len(cells), int((np.array(sides) == 1).sum())


def main():
    names = {"triangle": "triangle", "quad": "quadrilateral", "tetra": "tetrahedron", "hexahedron": "hexahedron"}
    with tempfile.TemporaryDirectory() as folder:
        for kind, cell in names.items():
            for binary in (False, True):
                path = os.path.join(folder, "mesh.msh")
                dim, points, cells, floor = write(path, kind, binary)
                for degree in (1, 2):
                    run = subprocess.run([str(BUILD / "tests/physics/program_read_mesh"), path, str(degree)], check=True,
                                         capture_output=True, text=True)
                    found = json.loads(run.stdout)
                    where = f"{kind}, binary {binary}: {found}"
                    assert found["cell"] == cell and found["cells"] == cells and found["vertices"] == points, where
                    assert found["nodes"] == (points if degree == 1 else (2 * N + 1) ** dim), where
                    assert abs(found["measure"] - 1) < 1e-12, where
                    assert abs(found["regions"]["near"] - 1 / 3) < 1e-12, where
                    assert abs(found["regions"]["far"] - 2 / 3) < 1e-12, where
                    assert found["boundaries"]["floor"] == floor, where
                    assert ("lid" in found["boundaries"]) == (dim == 2), where


if __name__ == "__main__":
    main()
