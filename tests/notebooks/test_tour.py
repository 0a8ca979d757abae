"""The tour runs from its first cell to its last on a small shop's lake, and defines nothing of its own."""

import ast
from pathlib import Path

import nbformat
import pytest
from lakerec.stages import pipeline
from nbclient import NotebookClient

from tests import shop

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def code(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_defines_nothing_and_is_kept_without_outputs(path):
    for source in code(path):
        assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda) for node in ast.walk(ast.parse(source)))
    cells = nbformat.read(path, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)


@pytest.mark.spark
@pytest.mark.slow
def test_the_tour_runs_to_its_end(tmp_path, monkeypatch):
    conf = shop.write(tmp_path)
    with pipeline.opened(shop.load(conf)) as context:
        pipeline.run(context, pipeline.ORDER)
    monkeypatch.setenv("LAKEREC_CONF", str(conf))
    notebook = nbformat.read(next(path for path in NOTEBOOKS if path.stem == "tour"), as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = str(shown)
    assert "events.rows_in" not in text and "<svg" in text and "last met:" in text and "ndcg" in text
    assert "malformed_row" in text
