import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regard.errors import ConfigError, ModelError
from regard.tasks.classify.options import ClassifyConfig
from regard.tasks.label.options import LabelConfig
from regard.training.config import describe, make_config
from regard.training.config_file import read_config, write_config

SIDE = st.none() | st.integers(0, 10**6)
TEXT = st.text(st.characters(codec="utf-8"))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "train": TEXT,
        "output": st.none() | TEXT,
        "column": TEXT,
        "encoder": st.sampled_from(["attention", "sliding"]),
        "dim": st.integers(1, 2**16),
        "feed_forward_dim": st.none() | st.integers(1, 9999),
        "window": SIDE | st.tuples(SIDE, SIDE),
        "windows": st.none() | st.lists(SIDE | st.tuples(SIDE, SIDE)).map(tuple),
        "causal": st.booleans(),
        "learning_rate": st.floats(1e-300, 1e300),
        "average": st.floats(0, 1, exclude_max=True),
        "checkpoint_seconds": st.floats(0, allow_nan=False),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPTIONS)
def test_what_is_written_is_read_again(tmp_path, options):
    config = make_config(LabelConfig, options)
    write_config(config, tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml", LabelConfig) == config


def test_a_file_says_every_option_and_its_help(tmp_path):
    write_config(LabelConfig(window=(8, None)), tmp_path / "config.toml")
    text = (tmp_path / "config.toml").read_text(encoding="utf-8")
    options = tomllib.loads(text)
    assert options.pop("config_version") == 1
    assert options.pop("task") == "label"
    assert options.pop("options") == len(LabelConfig.model_fields)
    unset = {"train", "dev", "folds", "output", "pretrained", "tokenizer", "embedding_dim", "feed_forward_dim"}
    unset |= {
        "windows",
        "sample_rate",
        "noise",
        "feature_cache",
        "image_size",
        "patch_stride",
        "mask_names",
        "delimiter",
        "continue_from",
    }
    assert options.keys() == LabelConfig.model_fields.keys() - unset
    for name in LabelConfig.model_fields:
        assert f"# {describe(LabelConfig, name)}" in text
        assert (f"\n# {name} =\n" in text) == (name in unset)
    assert '\nwindow = [8, "all"]\n' in text
    assert "\n# What looks at the sequence. One of: attention, pointwise, sliding, convolution.\n" in text


def test_a_user_writes_only_what_differs(tmp_path):
    (tmp_path / "run.toml").write_text('options = 60\ndim = 64\nwindow = ["all", 0]\n')  # some of a run's own
    assert read_config(tmp_path / "run.toml", LabelConfig) == LabelConfig(dim=64, window=(None, 0))
    (tmp_path / "run.toml").write_text('windows = [[64, 16], ["all", 0], 8, "all"]\n')
    assert read_config(tmp_path / "run.toml", LabelConfig).windows == ((64, 16), (None, 0), 8, None)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"dim = 64\n\nlerning_rate = 1\n", ConfigError, r"run\.toml:3: unknown .*; did you mean .learning_rate"),
        (b"# dim\nseed = 2\ndim = 0\n", ConfigError, r"run\.toml:3: dim: .*greater than 0.*, got 0"),
        (b'encoder = "atention"\n', ConfigError, r"run\.toml:1: encoder: .*'attention'.*, got 'atention'"),
        (b"dim = \n", ConfigError, r"run\.toml: not a TOML file, invalid value \(at line 1, column 7\)"),
        (b'train = "\xff"\n', ConfigError, r"run\.toml: not a TOML file, 'utf-8' codec can't decode byte 0xff"),
        (b"config_version = 2\nnewer = 1\n", ModelError, r"config_version is 2, this regard reads up to 1; update"),
        (b'config_version = "x"\n', ModelError, r"config_version is 'x'"),
    ],
    ids=["unknown", "value", "choice", "syntax", "bytes", "newer", "no version"],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, content, error, message):
    (tmp_path / "run.toml").write_bytes(content)
    with pytest.raises(error, match=message) as refused:
        read_config(tmp_path / "run.toml", LabelConfig)
    assert "\n" not in str(refused.value)


def test_options_of_another_task_are_refused(tmp_path):
    write_config(ClassifyConfig(), tmp_path / "run.toml")
    with pytest.raises(ConfigError, match=r"run\.toml:3: the options are those of 'classify', not of 'label'"):
        read_config(tmp_path / "run.toml", LabelConfig)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"run\.toml: no such file"):
        read_config(tmp_path / "run.toml", LabelConfig)
    with pytest.raises(ModelError, match="cannot be read, is a directory"):
        read_config(tmp_path, LabelConfig)


def test_what_no_line_is_about_names_the_file_alone(tmp_path):
    (tmp_path / "run.toml").write_text("heads = 3\n[network]\ndim = 8\n")
    with pytest.raises(ConfigError, match=r"run\.toml: unknown option 'network'"):
        read_config(tmp_path / "run.toml", LabelConfig)
