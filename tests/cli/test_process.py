"""What only a process of its own can show."""

import ctypes
import subprocess
import sys

import pytest
from command_line import in_shell

HELP_WITHOUT_TORCH = """
import sys
from regard.cli import run
code = run({arguments})
loaded = [name for name in ("torch", "numpy", "sklearn", "matplotlib") if name in sys.modules]
sys.exit(f"loaded: {{loaded}}" if loaded else code)
"""


def test_help_does_not_wait_for_torch():
    for arguments in (["--help"], ["train", "label", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", HELP_WITHOUT_TORCH.format(arguments=arguments)], capture_output=True
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout


def test_a_reader_that_leaves_early_is_no_error(trained, tmp_path):
    (tmp_path / "in.txt").write_text("We fish for fish .\n" * 20_000)
    command = f"set -o pipefail; '{sys.executable}' -m regard predict '{trained}' '{tmp_path}/in.txt' | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stdout == "We/PRON fish/VERB for/ADP fish/NOUN ./PUNCT\n"
    assert done.stderr == ""


def test_debug_shows_the_traceback(tmp_path):
    outcome = in_shell("info", tmp_path / "nosuch", "--debug")
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "no such run folder" in outcome.err.splitlines()[-1]


FAULTS = """
import resource, torch
from regard.__main__ import keep_freed_memory
{keep}
for _ in range(20):
    torch.empty(16 << 20).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_freed_memory_is_used_again():
    def faults(keep):
        done = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, check=True)
        return int(done.stdout)

    assert faults("keep_freed_memory()") < faults("") - 10_000
