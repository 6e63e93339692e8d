"""What is public, what may import what, and what stays unloaded."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import regard

ROOT = Path(regard.__file__).parent

# Each part with the parts it may import from, beside itself: design.md, "Layout".
MAY_IMPORT = {
    "errors": set(),
    "part": set(),
    "ragged": {"errors", "part"},
    "planning": {"errors"},
    "files": {"errors"},
    "recording": {"errors"},
    "image": {"errors", "image_file"},
    "image_file": {"errors"},
    "piped": {"errors", "recording"},
    "streams": {"files"},
    "tensors": set(),
    "machine": set(),
    "attention": {"errors", "ragged", "files"},
    "parallel": {"errors", "part", "ragged", "attention"},
    "nn": {"errors", "part", "ragged", "files", "attention", "parallel"},
    "front_ends": {"errors", "ragged", "files", "recording", "image", "attention", "nn"},
    "data": {"errors", "files", "recording", "image"},
    "decoding": {"errors"},
    "formats": {"errors", "files", "tensors", "nn", "front_ends"},
    "training": {"errors", "ragged", "planning", "files", "tensors", "machine", "data", "front_ends", "parallel"},
    "viewer": {"errors", "ragged", "files", "machine", "attention", "nn"},
    "tasks": {
        *("errors", "ragged", "files", "attention", "nn", "front_ends", "data", "decoding", "formats", "training"),
        *("viewer", "recording", "image", "machine", "parallel", "planning"),
    },
    "cli": {
        *("regard", "errors", "files", "streams", "recording", "piped", "data", "training", "tasks", "demo"),
        *("viewer", "parallel", "machine"),
    },
    "demo": {"errors", "files", "recording", "front_ends", "data", "training", "viewer", "tasks", "cli"},
    "__main__": {"cli", "streams"},
    "__init__": {"errors", "ragged", "recording", "image", "attention", "tasks", "viewer"},
}

OPTIONAL = ("accelerate", "sklearn", "nervaluate", "matplotlib", "datasets", "pyarrow", "rich", "typer", "tensorboard")
OPTIONAL += ("soundfile", "soxr", "kaldi_native_fbank", "pyannote", "PIL", "kornia")
OPTIONAL += ("triton", "sacrebleu", "jiwer", "tokenizers", "transformers", "pandas", "polars")


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def part_of(module):
    names = module.split(".")
    return names[1] if len(names) > 1 else "regard"


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_public_names():
    assert regard.__all__ == [
        "Additive",
        "AttentionWeights",
        "Classifier",
        "ConfigError",
        "DataError",
        "GridBias",
        "GridWeights",
        "Image",
        "Labeler",
        "MaskedModel",
        "ModelError",
        "Ragged",
        "Recording",
        "RegardError",
        "RelativeBias",
        "Seq2Seq",
        "ShapeError",
        "Transcriber",
        "UnsupportedError",
        "__version__",
        "attend",
        "attend2d",
        "attention_weights",
        "attention_weights2d",
        "explain",
        "explain2d",
        "load",
        "load_bert",
        "load_vit",
        "record",
    ]
    for name in regard.__all__:
        assert getattr(regard, name) is not None
    assert dir(regard) == sorted(regard.__all__)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="module 'regard' has no attribute 'attention_weight'"):
        _ = regard.attention_weight


def test_imports_run_downwards():
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for module in imports_of(path):
            if module.split(".")[0] == "regard" and part_of(module) not in MAY_IMPORT[part] | {part}:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_tests_and_library_need_no_pickle():
    assert not [path for path in ROOT.rglob("*.py") if "pickle" in imports_of(path)]


def test_importing_regard_does_not_wait_for_torch():
    assert run_python("import sys, regard; print('torch' in sys.modules)") == "False"


def test_every_public_name_together_loads_no_optional_package():
    code = f"import sys; from regard import *; print([name for name in {OPTIONAL} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_reading_a_dict_of_columns_loads_no_library_of_tables():
    code = f"""
import sys
from regard import data
assert data.read({{"text": ["a"], "label": ["X"]}}, goal="label")[0].goal == "X"
print([name for name in {OPTIONAL} if name in sys.modules])
"""
    assert run_python(code) == "[]"


def test_no_library_of_tables_is_imported_anywhere():
    libraries = {"pandas", "polars", "datasets"}
    assert not [path for path in ROOT.rglob("*.py") if libraries & {name.split(".")[0] for name in imports_of(path)}]


def test_changelog_and_citation_are_of_this_version():
    changelog = ROOT.parent / "CHANGELOG.md"
    latest = next(line for line in changelog.read_text().splitlines() if line.startswith("## "))
    assert latest.split()[1] == regard.__version__
    assert f"\nversion: {regard.__version__}\n" in (ROOT.parent / "CITATION.cff").read_text()
