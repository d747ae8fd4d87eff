"""Matrices out of files: the formats of checkpoints, and what is wrong with them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from xglue_analysis.errors import AnalysisError
from xglue_analysis.roles import Place
from xglue_analysis.weights import MemoryWeights, open_weights

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def tensors() -> Tensors:
    generator = torch.Generator().manual_seed(0)
    return {
        "a": torch.randn(6, 4, generator=generator),
        "b": torch.randn(3, 5, generator=generator).bfloat16(),
        "c": torch.randn(7, generator=generator).half(),
        "d": torch.tensor(3),
    }


def split(tensors: Tensors) -> dict[int, Tensors]:
    return {1: {name: tensors[name] for name in "ab"}, 2: {name: tensors[name] for name in "cd"}}


def index(folder: Path, file: str, shard: str, parts: dict[int, Tensors]) -> None:
    places = {name: shard.format(number) for number, part in parts.items() for name in part}
    (folder / file).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def whole(folder: Path, tensors: Tensors) -> None:
    save_file(tensors, folder / "model.safetensors")


def sharded(folder: Path, tensors: Tensors) -> None:
    for number, part in split(tensors).items():
        save_file(part, folder / f"model-{number}.safetensors")
    index(folder, "model.safetensors.index.json", "model-{}.safetensors", split(tensors))


def pickled(folder: Path, tensors: Tensors) -> None:
    torch.save(tensors, folder / "pytorch_model.bin")


def old(folder: Path, tensors: Tensors) -> None:
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def pickled_shards(folder: Path, tensors: Tensors) -> None:
    for number, part in split(tensors).items():
        torch.save(part, folder / f"pytorch_model-{number}.bin")
    index(folder, "pytorch_model.bin.index.json", "pytorch_model-{}.bin", split(tensors))


SAVED = pytest.mark.parametrize("save", [whole, sharded, pickled, old, pickled_shards])
Save = Callable[[Path, Tensors], None]


@SAVED
def test_every_format_gives_what_was_saved(save: Save, tmp_path: Path, tensors: Tensors) -> None:
    save(tmp_path, tensors)
    with open_weights(tmp_path) as weights:
        assert weights.shapes() == {"a": (6, 4), "b": (3, 5), "c": (7,), "d": ()}
        for name in "ab":
            actual = weights.read(Place(0, "K", name))
            assert actual.dtype == tensors[name].dtype
            assert torch.equal(actual, tensors[name])
            assert torch.equal(weights.read(Place(0, "K", name, (1, 3))), tensors[name][1:3])


@SAVED
def test_closed_weights_open_again(save: Save, tmp_path: Path, tensors: Tensors) -> None:
    save(tmp_path, tensors)
    weights = open_weights(tmp_path)
    weights.close()
    assert torch.equal(weights.read(Place(0, "K", "a")), tensors["a"])
    weights.close()


def test_a_subfolder(tmp_path: Path, tensors: Tensors) -> None:
    (tmp_path / "encoder").mkdir()
    whole(tmp_path / "encoder", tensors)
    with open_weights(tmp_path, subfolder="encoder") as weights:
        assert set(weights.shapes()) == set("abcd")
    with pytest.raises(AnalysisError, match=r"/other has no weights"):
        open_weights(tmp_path, subfolder="other")


def test_safetensors_come_first(tmp_path: Path, tensors: Tensors) -> None:
    whole(tmp_path, tensors)
    pickled(tmp_path, {"other": torch.zeros(2, 2)})
    with open_weights(str(tmp_path)) as weights:
        assert set(weights.shapes()) == set("abcd")


@pytest.mark.parametrize("revision", ["main", "0" * 40])
def test_the_cache_of_the_hub(revision: str, tmp_path: Path, tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--someone--encoder"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    sharded(snapshot, tensors)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable was read long before
    with open_weights("someone/encoder", revision=revision) as weights:
        assert torch.equal(weights.read(Place(0, "K", "a")), tensors["a"])
    with pytest.raises(AnalysisError, match=r"someone/other has no weights.*fetched once"):
        open_weights("someone/other")


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"has no weights: expected one of model\.safetensors"):
        open_weights(tmp_path)
    with pytest.raises(AnalysisError, match="nowhere"):
        open_weights(tmp_path / "nowhere")


@pytest.mark.parametrize(("save", "shard"), [(sharded, "model-2.safetensors"), (pickled_shards, "pytorch_model-2.bin")])
def test_a_missing_shard_is_named(save: Save, shard: str, tmp_path: Path, tensors: Tensors) -> None:
    save(tmp_path, tensors)
    (tmp_path / shard).unlink()
    with pytest.raises(AnalysisError, match=f"lacks the shard {shard}"):
        open_weights(tmp_path)


@pytest.mark.parametrize("save", [whole, pickled, old])
@pytest.mark.parametrize("left", [0, 5, 100, -20])
def test_a_damaged_file_is_named(save: Save, left: int, tmp_path: Path, tensors: Tensors) -> None:
    save(tmp_path, tensors)
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(AnalysisError, match=f"{file.name} is damaged"):
        open_weights(tmp_path)


@pytest.mark.parametrize("save", [sharded, pickled_shards])
def test_a_damaged_shard_is_named(save: Save, tmp_path: Path, tensors: Tensors) -> None:
    save(tmp_path, tensors)
    shard = next(tmp_path.glob("*-2.*"))
    shard.write_bytes(b"nothing")
    with open_weights(tmp_path) as weights, pytest.raises(AnalysisError, match=f"{shard.name} is damaged"):
        weights.shapes()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_a_damaged_index_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(AnalysisError, match=r"index\.json is no index"):
        open_weights(tmp_path)


def test_an_index_that_says_too_much(tmp_path: Path, tensors: Tensors) -> None:
    sharded(tmp_path, tensors)
    index(tmp_path, "model.safetensors.index.json", "model-{}.safetensors", {1: {**tensors}})
    with open_weights(tmp_path) as weights, pytest.raises(AnalysisError, match=r"model-1\.safetensors lacks c"):
        weights.shapes()


class Harm:
    """What a pickle could run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_a_pickle_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Harm()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(AnalysisError, match="holds more than tensors"):
        open_weights(tmp_path)
    assert not (tmp_path / "harm").exists()


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "pytorch_model.bin")
    with pytest.raises(AnalysisError, match="no parameters by name"):
        open_weights(tmp_path)


def test_memory_and_file_agree(tmp_path: Path, tensors: Tensors) -> None:
    whole(tmp_path, tensors)
    memory = MemoryWeights({name: torch.nn.Parameter(each, requires_grad=False) for name, each in tensors.items()})
    place = Place(0, "K", "a", (2, 5))
    with open_weights(tmp_path) as weights:
        assert memory.shapes() == weights.shapes()
        assert torch.equal(memory.read(place), weights.read(place))
    assert not memory.read(place).requires_grad


def test_reading_from_a_copy_of_the_folder(tmp_path: Path, tensors: Tensors) -> None:
    """Nothing of where a file lies is kept beyond `close`."""
    (tmp_path / "one").mkdir()
    sharded(tmp_path / "one", tensors)
    with open_weights(tmp_path / "one") as weights:
        before = weights.read(Place(0, "K", "a"))
    shutil.move(tmp_path / "one", tmp_path / "two")
    with open_weights(tmp_path / "two") as weights:
        assert torch.equal(weights.read(Place(0, "K", "a")), before)
