"""Stage train: resumable, deterministic training, the checkpoint and its threshold, and errors."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.special import logit

from pipeline.config.params import TrainParams, load_params
from pipeline.data.finished_work import clear_finished_work
from pipeline.data.machine_figures import find_figure
from pipeline.data.records import Image
from pipeline.data.shards import load_batch
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.metrics.decision_threshold import Costs, fit_temperature
from pipeline.train import stage as train
from pipeline.train.backbone import build_network
from pipeline.train.full_training import learning_rate
from pipeline.train.method import TrainRows
from pipeline.train.model import WEIGHTS, load_checkpoint, predict
from pipeline.train.stage import dataset_id
from pipeline.train.training_state import Epoch
from tests.pipeline.squares import LABELS, SIZE, write_squares

Change = Callable[..., TrainParams]


@pytest.fixture
def params(root: Path) -> TrainParams:
    """Params of a training that takes seconds: two epochs of a tiny network on tiny images."""
    changes = {
        "method": "full",
        "backbone": "test_efficientnet",
        "pretrained": "none",
        "padding": "symmetric",
        "augment": 0.5,
        "decision": "costs",
        "input_height": SIZE[0],
        "input_width": SIZE[1],
        "epochs": 2,
        "batch_size": 40,
        "warmup_epochs": 0,
        "threads": 2,
        "device": "cpu",
    }
    return load_params(root / "params.yaml").train.model_copy(update=changes)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> TrainRows:
    folder = tmp_path_factory.mktemp("images")
    images = write_squares(folder, LABELS * 60)
    return TrainRows(images[:88], images[88:], folder)


@pytest.fixture(autouse=True)
def outside_any_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def interrupt_after(epoch: int) -> Callable[[Epoch], None]:
    def stop(done: Epoch) -> None:
        if done.epoch == epoch:
            raise KeyboardInterrupt

    return stop


@pytest.mark.slow
def test_training_learns_and_its_figures_are_those_of_the_saved_epoch(params: TrainParams, tmp_path: Path) -> None:
    images = write_squares(tmp_path / "images", LABELS * 200, seed=1)
    rows = TrainRows(images[:320], images[320:], tmp_path / "images")
    changed = params.model_copy(update={"epochs": 10, "augment": 0.2, "learning_rate": 0.004, "ema_decay": 0.8})
    result = train.run(changed, LABELS, rows, tmp_path / "checkpoint")
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    assert checkpoint.config == result.config
    decided = predict(checkpoint, load_batch(rows.images, rows.val, checkpoint.config.preprocess)).argmax(1)
    right = sum(LABELS[index] == image.label for index, image in zip(decided, rows.val, strict=True))
    assert right / len(rows.val) == result.metrics["val_accuracy"] >= 0.9
    best = max(result.curve, key=lambda row: (row["val_accuracy"], -row["val_loss"]))
    assert (best["epoch"], best["val_loss"]) == (result.metrics["best_epoch"], result.metrics["val_loss"])
    assert [row["epoch"] for row in result.curve] == list(range(1, 11))
    assert result.metrics["images"] == 320
    assert result.metrics["parameters"] == sum(tensor.numel() for tensor in checkpoint.network.parameters())
    speed = find_figure(result.machine, "images_per_second")
    assert speed is not None
    assert speed > 0
    assert not {"seconds", "images_per_second"} & {*result.metrics, *result.curve[0]}


def test_a_higher_cost_of_false_positives_raises_the_threshold(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    dear = TrainRows(rows.train, rows.val, rows.images, Costs(false_positive=9.0))
    config = train.run(params, LABELS, dear, tmp_path / "checkpoint").config
    frames = load_batch(rows.images, rows.val, config.preprocess)
    answers = predict(load_checkpoint(tmp_path / "checkpoint"), frames)
    targets = np.array([LABELS.index(image.label) for image in rows.val])
    assert config.temperature == pytest.approx(fit_temperature(answers, targets), rel=1e-3)
    assert logit(config.threshold) == pytest.approx(config.temperature * logit(0.9))


def test_the_config_of_the_checkpoint_describes_the_training(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    result = train.run(params.model_copy(update={"fit": "pad"}), LABELS, rows, tmp_path / "checkpoint")
    config = load_checkpoint(tmp_path / "checkpoint").config
    assert (config.backbone, config.labels, config.threshold) == ("test_efficientnet", LABELS, 0.5)
    assert (config.preprocess.input_size, config.preprocess.fit) == (SIZE, "pad")
    assert config.dataset_id == dataset_id(rows)
    assert config.checkpoint_id == hashlib.sha256((tmp_path / "checkpoint" / WEIGHTS).read_bytes()).hexdigest()
    assert result.config == config


def test_the_same_seed_gives_the_same_bytes_on_one_thread_and_on_two(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    def identity(name: str, **changes: object) -> str:
        return train.run(params.model_copy(update=changes), LABELS, rows, tmp_path / name).config.checkpoint_id

    first = identity("a")
    torch.manual_seed(99)  # torch's global seed must not matter
    assert identity("b") == first
    assert identity("c", threads=1) == first
    assert identity("d", seed=params.seed + 1) != first


def test_a_killed_training_resumes_and_ends_with_the_same_bytes(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    changed = params.model_copy(update={"epochs": 3})
    whole = train.run(changed, LABELS, rows, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train.run(changed, LABELS, rows, tmp_path / "cut", interrupt_after(1))
    assert not (tmp_path / "cut").exists()
    seen: list[int] = []
    resumed = train.run(changed, LABELS, rows, tmp_path / "cut", lambda epoch: seen.append(epoch.epoch))
    assert seen == [2, 3]
    assert resumed.config == whole.config
    assert resumed.curve == whole.curve
    assert resumed.metrics == whole.metrics
    clear_finished_work(tmp_path)
    assert not (tmp_path / "cut.work").exists()


def test_a_kill_after_the_checkpoint_is_written_loses_no_epoch_when_dvc_deletes_it(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    whole = train.run(params, LABELS, rows, tmp_path / "checkpoint")
    shutil.rmtree(tmp_path / "checkpoint")
    clear_finished_work(tmp_path)
    seen: list[Epoch] = []
    again = train.run(params, LABELS, rows, tmp_path / "checkpoint", seen.append)
    assert seen == []
    assert again.config == whole.config
    assert again.curve == whole.curve


def test_a_training_killed_after_its_last_epoch_only_writes_the_checkpoint(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train.run(params, LABELS, rows, tmp_path / "cut", interrupt_after(2))
    seen: list[Epoch] = []
    resumed = train.run(params, LABELS, rows, tmp_path / "cut", seen.append)
    assert seen == []
    assert resumed.config == train.run(params, LABELS, rows, tmp_path / "whole").config


@pytest.mark.parametrize("change", [{"learning_rate": 0.003}, {"seed": 5}, {"epochs": 4}])
def test_a_training_with_other_params_does_not_resume_from_this_work(
    params: TrainParams, rows: TrainRows, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train.run(params, LABELS, rows, tmp_path / "out", interrupt_after(1))
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train.run(params.model_copy(update=change), LABELS, rows, tmp_path / "out", note_and_stop(seen))
    assert seen == [1]


def note_and_stop(seen: list[int]) -> Callable[[Epoch], None]:
    def stop(epoch: Epoch) -> None:
        seen.append(epoch.epoch)
        raise KeyboardInterrupt

    return stop


def test_a_training_on_other_rows_does_not_resume_from_this_work(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train.run(params, LABELS, rows, tmp_path / "out", interrupt_after(1))
    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train.run(
            params, LABELS, TrainRows(rows.train[1:], rows.val, rows.images), tmp_path / "out", note_and_stop(seen)
        )
    assert seen == [1]


def test_the_dataset_id_depends_on_ids_labels_bytes_and_the_split(rows: TrainRows) -> None:
    def changed(image: Image, **changes: str) -> TrainRows:
        return TrainRows([image.model_copy(update=changes), *rows.train[1:]], rows.val, rows.images)

    first = rows.train[0]
    others = [
        changed(first, id="other"),
        changed(first, label="high"),
        changed(first, sha256="0" * 64),
        TrainRows([*rows.train, rows.val[0]], rows.val[1:], rows.images),
    ]
    assert len({dataset_id(rows), *map(dataset_id, others)}) == 5
    assert dataset_id(changed(first, shard="moved.tar")) == dataset_id(rows)


def test_the_learning_rate_warms_up_and_decays_to_almost_zero(params: TrainParams) -> None:
    recipe = params.model_copy(update={"epochs": 10, "warmup_epochs": 2, "learning_rate": 1.0})
    rates = [learning_rate(recipe, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[30] == pytest.approx(0.5)
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01


def test_a_warm_up_as_long_as_the_training_leaves_one_epoch_of_decay(params: TrainParams) -> None:
    recipe = params.model_copy(update={"epochs": 1, "warmup_epochs": 5})
    assert learning_rate(recipe, 0, 4) == recipe.learning_rate
    assert math.isfinite(learning_rate(recipe, 3, 4))


def test_training_starts_from_pretrained_weights(params: TrainParams, rows: TrainRows, tmp_path: Path) -> None:
    start = build_network("test_efficientnet", 10)
    save_file(start.state_dict(), tmp_path / "start.safetensors")
    changed = params.model_copy(
        update={"pretrained": str(tmp_path / "start.safetensors"), "learning_rate": 1e-9, "weight_decay": 0.0}
    )
    train.run(changed, LABELS, rows, tmp_path / "out")
    ended = load_checkpoint(tmp_path / "out").network.state_dict()
    torch.testing.assert_close(ended["conv_stem.weight"], start.state_dict()["conv_stem.weight"], rtol=0, atol=1e-6)


def test_dvclive_files_are_written_during_training_and_removed_afterwards(
    params: TrainParams, rows: TrainRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path / "repo")
    Repo.init(no_scm=True).close()
    with pytest.raises(KeyboardInterrupt):
        train.run(params, LABELS, rows, Path("checkpoint"), interrupt_after(1))
    logged: list[list[str]] = []

    def look(_: Epoch) -> None:
        (path,) = Path("checkpoint.work").glob("*/live/plots/metrics/val_accuracy.tsv")
        logged.append(path.read_text().splitlines())

    result = train.run(params, LABELS, rows, Path("checkpoint"), look)
    assert logged[0][0].split() == ["step", "val_accuracy"]
    assert [float(line.split()[1]) for line in logged[0][1:]] == [row["val_accuracy"] for row in result.curve]
    clear_finished_work(Path.cwd())
    assert sorted(path.name for path in Path.cwd().iterdir() if path.name[0] != ".") == ["checkpoint"]


def test_no_dvc_repository_is_created_outside_one(params: TrainParams, rows: TrainRows, tmp_path: Path) -> None:
    train.run(params.model_copy(update={"epochs": 1}), LABELS, rows, tmp_path / "out")
    clear_finished_work(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_loss_that_diverges_is_an_error_that_names_the_learning_rate(
    params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"train.learning_rate: 1e\+30; in epoch 1 the loss is not finite; .*try"):
        train.run(params.model_copy(update={"learning_rate": 1e30}), LABELS, rows, tmp_path / "out")


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (((), LABELS), r"training rows: found none; expected rows of low, high; .*dvc repro"),
        ((LABELS, ()), r"validation rows: found none; expected rows of low, high"),
        ((("low",), LABELS), r"training rows: found 44 of low, none of high; expected rows of low, high"),
    ],
)
def test_missing_rows_are_an_error(
    params: TrainParams, rows: TrainRows, tmp_path: Path, kept: tuple[tuple[str, ...], ...], message: str
) -> None:
    fewer = TrainRows(
        [image for image in rows.train if image.label in kept[0]],
        [image for image in rows.val if image.label in kept[1]],
        rows.images,
    )
    with pytest.raises(DataError, match=message):
        train.run(params, LABELS, fewer, tmp_path / "out")


def test_a_label_that_the_policy_lacks_is_an_error(params: TrainParams, rows: TrainRows, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"training rows: label 'low'; expected rows of high, far; .*dvc repro"):
        train.run(params, ("high", "far"), rows, tmp_path / "out")


def test_a_batch_of_one_is_refused(params: TrainParams, rows: TrainRows, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"train.batch_size: 1; expected at least 2"):
        train.run(params.model_copy(update={"batch_size": 1}), LABELS, rows, tmp_path / "out")


def test_fewer_rows_than_a_batch_are_one_batch(params: TrainParams, rows: TrainRows, tmp_path: Path) -> None:
    few = TrainRows(rows.train[:7], rows.val, rows.images)
    result = train.run(params, LABELS, few, tmp_path / "out")
    assert result.metrics["images"] == 7


@pytest.fixture(scope="module")
def head_params(root: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainParams:
    """Params of a head on the frozen features of a tiny network, whose weights are a file."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        save_file(build_network("test_efficientnet", 10).state_dict(), path)
    changes = {
        "method": "head",
        "backbone": "test_efficientnet",
        "pretrained": str(path),
        "padding": "symmetric",
        "input_height": SIZE[0],
        "input_width": SIZE[1],
        "epochs": 2,
        "augment": 0.2,
        "expert": True,
        "decision": "balanced",
        "device": "cpu",
    }
    return load_params(root / "params.yaml").train.model_copy(update=changes)


def test_a_head_is_saved_with_its_frozen_backbone_and_predicts_as_its_figures_say(
    head_params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    result = train.run(head_params, LABELS, rows, tmp_path / "checkpoint")
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    assert (checkpoint.config.method, checkpoint.config.expert, checkpoint.config.decision) == (
        "head",
        True,
        "balanced",
    )
    decided = predict(checkpoint, load_batch(rows.images, rows.val, checkpoint.config.preprocess)).argmax(1)
    right = sum(LABELS[index] == image.label for index, image in zip(decided, rows.val, strict=True))
    assert right / len(rows.val) == result.metrics["val_accuracy"] > 0.6
    assert [row["epoch"] for row in result.curve] == [1, 2]
    assert result.metrics["best_epoch"] == 2
    start = build_network("test_efficientnet", 2, head_params.pretrained).state_dict()
    trunk = checkpoint.network.get_submodule("trunk").state_dict()
    assert all(torch.equal(tensor, start[name]) for name, tensor in trunk.items())


def test_a_head_has_the_same_bytes_on_one_thread_and_on_two_and_after_a_kill(
    head_params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    whole = train.run(head_params, LABELS, rows, tmp_path / "whole").config.checkpoint_id
    single = head_params.model_copy(update={"threads": 1})
    assert train.run(single, LABELS, rows, tmp_path / "single").config.checkpoint_id == whole
    with pytest.raises(KeyboardInterrupt):
        train.run(head_params, LABELS, rows, tmp_path / "cut", interrupt_after(1))
    assert train.run(head_params, LABELS, rows, tmp_path / "cut").config.checkpoint_id == whole


def test_a_balanced_decision_does_not_follow_the_costs(
    head_params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    dear = TrainRows(rows.train, rows.val, rows.images, Costs(false_positive=9.0))
    assert train.run(head_params, LABELS, dear, tmp_path / "balanced").config.threshold == pytest.approx(0.5)
    by_costs = head_params.model_copy(update={"decision": "costs"})
    assert train.run(by_costs, LABELS, dear, tmp_path / "costs").config.threshold > 0.6


def test_a_head_on_random_features_is_refused(head_params: TrainParams, rows: TrainRows, tmp_path: Path) -> None:
    random = head_params.model_copy(update={"pretrained": "none"})
    with pytest.raises(ParamsError, match=r"train.pretrained: none with train.method: head; expected package, hub"):
        train.run(random, LABELS, rows, tmp_path / "checkpoint")


def test_weights_of_a_package_need_their_preprocessing(
    head_params: TrainParams, rows: TrainRows, tmp_path: Path
) -> None:
    changes = {"pretrained": "package", "backbone": "tf_efficientnet_lite0"}
    with pytest.raises(ParamsError, match=r"train.padding: symmetric; the weights of tf_efficientnet_lite0 in"):
        train.run(head_params.model_copy(update=changes), LABELS, rows, tmp_path / "checkpoint")
