from pathlib import Path

import pytest


@pytest.fixture
def save(tmp_path):
    """Writes a small file and gives its path."""

    def save(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save
