"""meshio reads the XDMF files of every element: volumes, values and times are those that were written, and each cell's
nodes stand in VTK's order."""

import os
import pathlib
import subprocess
import tempfile

import meshio
import numpy as np

BUILD = pathlib.Path(os.environ["FWM_BUILD"])

# Nodes of quadratic cells as means of vertices, from VTK's documentation of each cell.
EDGES = {
    "triangle6": [(0, 1), (1, 2), (2, 0)],
    "quad9": [(0, 1), (1, 2), (2, 3), (3, 0), (0, 1, 2, 3)],
    "tetra10": [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)],
    "hexahedron27": [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7),
                     (0, 4, 7, 3), (1, 2, 6, 5), (0, 1, 5, 4), (3, 7, 6, 2), (0, 3, 2, 1), (4, 5, 6, 7),
                     (0, 1, 2, 3, 4, 5, 6, 7)],
}
VERTICES = {"triangle": 3, "triangle6": 3, "quad": 4, "quad9": 4, "tetra": 4, "tetra10": 4, "hexahedron": 8,
            "hexahedron27": 8}
FILES = {"triangle_P1": "triangle", "triangle_P2": "triangle6", "quadrilateral_Q1": "quad", "quadrilateral_Q2": "quad9",
         "tetrahedron_P1": "tetra", "tetrahedron_P2": "tetra10", "hexahedron_Q1": "hexahedron",
         "hexahedron_Q2": "hexahedron27"}


def volumes(kind, corners):
    """Positive where vertices turn as VTK has them; the boxes' cells are parallelepipeds."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 3 if kind in ("quad", "quad9") else 2] - corners[:, 0]
    if kind.startswith("hexa"):
        b = corners[:, 3] - corners[:, 0]
    if kind.startswith(("tri", "quad")):
        return np.cross(a, b)[:, 2] / (2 if kind.startswith("tri") else 1)
    c = corners[:, 4 if kind.startswith("hexa") else 3] - corners[:, 0]
    return np.einsum("ij,ij->i", np.cross(a, b), c) / (6 if kind.startswith("tetra") else 1)


def check(path, kind, periodic):
    with meshio.xdmf.TimeSeriesReader(path) as reader:
        points, cells = reader.read_points_cells()
        assert reader.num_steps == 2 and len(cells) == 1 and cells[0].type == kind, f"{path}: {cells}"
        nodes, n = cells[0].data, VERTICES[kind]
        volume = volumes(kind, points[nodes[:, :n]])
        total = 1.2 * 0.9 * (0.7 if kind.startswith(("tetra", "hexa")) else 1)
        assert (volume > 0).all() and abs(volume.sum() - total) < 1e-12, f"{path}: volume {volume.sum()}"
        for k, mean in enumerate(EDGES.get(kind, [])):
            middle = points[nodes[:, list(mean)]].mean(axis=1)
            assert np.abs(points[nodes[:, n + k]] - middle).max() < 1e-12, f"{path}: node {n + k}"
        for step in range(2):
            time, data, _ = reader.read_data(step)
            assert time == 0.5 * step, f"{path}: time {time}"
            x, y, z = points.T
            along = np.sin(2 * np.pi * x / 1.2) if periodic else x
            assert np.abs(data["u"] - (along + 2 * y + 3 * z + step)).max() < 2e-6, f"{path}: u"
            space = kind.startswith(("tetra", "hexa"))
            flow = np.stack([y, np.ones_like(x) if periodic else -x, (step if space else 0) * np.ones_like(x)], 1)
            assert np.abs(data["flow"] - flow).max() < 1e-6, f"{path}: flow"


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([str(BUILD / "tests/train/program_write_xdmf"), folder], check=True)
        for name, kind in FILES.items():
            check(os.path.join(folder, name + ".xdmf"), kind, False)
            check(os.path.join(folder, name + "_periodic.xdmf"), kind, True)
        assert not [name for name in os.listdir(folder) if "writing" in name]


if __name__ == "__main__":
    main()
