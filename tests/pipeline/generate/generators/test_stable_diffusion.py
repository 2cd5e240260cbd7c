"""Generator ``stable_diffusion`` on a tiny diffusers pipeline: images, batches, faults, errors and presets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from pipeline.config.fields import load_section, note_renamed
from pipeline.config.params import load_params
from pipeline.errors import ModelError, ParamsError, PolicyError
from pipeline.generate.diffusion import pipeline_loader, sampler
from pipeline.generate.generated_image import GeneratedImage
from pipeline.generate.generators import Draw, stable_diffusion
from pipeline.generate.generators.stable_diffusion import Params
from pipeline.generate.shard_job import to_pixels
from tests.pipeline.tiny_diffusion import build_unet, prompt, save_tiny, save_tiny_xl, tiny_preset

# diffusers hands numpy a tensor whose __array__ has no copy keyword yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
PLACE = "params.yaml generate.stable_diffusion.presets.tiny"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("diffusers"))


@pytest.fixture
def params(model_folder: Path) -> Params:
    return with_preset(model_folder)


def with_preset(model: Path | str, **changes: Any) -> Params:
    return Params(preset="tiny", presets={"tiny": tiny_preset(model, **changes)})


def open_with(monkeypatch: pytest.MonkeyPatch, params: Params, change: Callable[[Any], None]) -> Draw:
    """Open a generator whose pipeline was changed after loading."""
    real = pipeline_loader.open_pipeline

    def changed(*given: Any) -> Any:
        pipe = real(*given)
        change(pipe)
        return pipe

    monkeypatch.setattr(sampler, "open_pipeline", changed)
    return stable_diffusion.create(params)


def test_images_have_the_size_of_the_preset_and_values_in_0_to_1(params: Params) -> None:
    drawn = [image.pixels for image in stable_diffusion.create(params)([prompt(n) for n in range(4)])]
    assert [pixels.shape for pixels in drawn] == [(64, 48, 3)] * 4
    assert all(pixels.min() >= 0 and pixels.max() <= 1 for pixels in drawn)
    assert all(to_pixels(GeneratedImage(pixels))[1] is None for pixels in drawn)


def test_an_image_depends_on_its_seed_and_not_on_its_batch(params: Params, model_folder: Path) -> None:
    prompts = [prompt(n) for n in range(4)]
    together = list(stable_diffusion.create(params)(prompts))
    alone = next(stable_diffusion.create(with_preset(model_folder, batch_size=1))(prompts[3:]))
    np.testing.assert_allclose(together[3].pixels, alone.pixels, atol=1e-4)
    assert np.abs(together[3].pixels - together[0].pixels).max() > 0.05


def test_the_same_prompts_give_the_same_bits(params: Params) -> None:
    prompts = [prompt(n) for n in range(4)]
    first, again = (list(stable_diffusion.create(params)(prompts)) for _ in range(2))
    assert all((one.pixels == other.pixels).all() for one, other in zip(first, again, strict=True))


def test_an_image_depends_on_its_caption(model_folder: Path) -> None:
    draw = stable_diffusion.create(with_preset(model_folder, guidance=7.5))
    first, second = draw([prompt(1, "a rider"), prompt(1, "qqqqqqqqqq")])
    assert np.abs(first.pixels - second.pixels).max() > 1e-4


def test_encoding_outside_the_pipeline_gives_the_images_of_the_pipeline(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = with_preset(model_folder, negative_prompt="fog")
    apart = list(stable_diffusion.create(given)([prompt(1), prompt(2)]))
    monkeypatch.setattr(sampler, "_encodes", lambda _: False)
    whole = list(stable_diffusion.create(given)([prompt(1), prompt(2)]))
    for one, other in zip(apart, whole, strict=True):
        np.testing.assert_allclose(one.pixels, other.pixels, atol=1e-5)


def test_the_negative_prompt_is_encoded_once(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[list[str]] = []
    real = sampler._encode

    def count(pipe: Any, texts: list[str]) -> Any:
        encoded.append(texts)
        return real(pipe, texts)

    monkeypatch.setattr(sampler, "_encode", count)
    list(stable_diffusion.create(params)([prompt(n) for n in range(6)]))
    assert [len(texts) for texts in encoded] == [1, 3, 3]


def test_a_pipeline_with_two_text_encoders_draws(tmp_path: Path) -> None:
    image = next(stable_diffusion.create(with_preset(save_tiny_xl(tmp_path), negative_prompt="fog"))([prompt(1)]))
    assert image.pixels.shape == (64, 48, 3)
    assert np.isfinite(image.pixels).all()


def test_without_guidance_a_pipeline_draws(model_folder: Path) -> None:
    draw = stable_diffusion.create(with_preset(model_folder, guidance=0.0, scheduler="own", steps=1))
    assert np.isfinite(next(draw([prompt(1)])).pixels).all()


@pytest.fixture
def guidance_input_folder(tmp_path: Path) -> Path:
    """A Stable Diffusion whose UNet takes the guidance as an input."""
    folder = save_tiny(tmp_path)
    torch.manual_seed(1)
    build_unet(time_cond_proj_dim=16).save_pretrained(folder / "unet")
    return folder


def test_a_model_with_a_guidance_input_runs_once_per_step(
    guidance_input_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    whole = UNet2DConditionModel.forward
    monkeypatch.setattr(
        "diffusers.UNet2DConditionModel.forward",
        lambda model, noisy, *given, **named: batches.append(len(noisy)) or whole(model, noisy, *given, **named),
    )
    weak, strong = (
        next(stable_diffusion.create(with_preset(guidance_input_folder, guidance=scale))([prompt(1)])).pixels
        for scale in (1, 5)
    )
    assert set(batches) == {1}
    assert np.abs(weak - strong).max() > 1e-4


def test_a_negative_prompt_is_refused_by_a_model_with_a_guidance_input(guidance_input_folder: Path) -> None:
    with pytest.raises(
        ParamsError, match=r"negative_prompt: 'fog'; expected an empty one: .* takes its guidance as an"
    ):
        stable_diffusion.create(with_preset(guidance_input_folder, negative_prompt="fog"))


def test_images_of_a_model_with_nan_weights_have_the_fault_nan(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(pipe: Any) -> None:
        pipe.vae.decoder.conv_out.weight.data.fill_(float("nan"))

    assert to_pixels(next(open_with(monkeypatch, params, spoil)([prompt(1)])))[1] == "nan"


def test_images_that_the_safety_checker_blanks_have_the_fault_nsfw(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blank_the_second(images: torch.Tensor, **_: Any) -> tuple[torch.Tensor, list[bool]]:
        images = images.clone()
        images[1] = 0
        return images, [False, True, False]

    def add_checker(pipe: Any) -> None:
        pipe.feature_extractor = lambda *_, **__: SimpleNamespace(
            pixel_values=torch.zeros(1), to=lambda _: SimpleNamespace(pixel_values=torch.zeros(1))
        )
        pipe.safety_checker = blank_the_second

    drawn = open_with(monkeypatch, params, add_checker)([prompt(n) for n in range(3)])
    assert [to_pixels(image)[1] for image in drawn] == [None, "nsfw", None]


def test_a_batch_that_does_not_fit_the_memory_is_halved_and_no_image_is_lost(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = [prompt(n) for n in range(4)]
    expected = list(stable_diffusion.create(params)(prompts))

    def fill(pipe: Any) -> None:
        real = pipe.unet.forward

        def small(sample: torch.Tensor, *given: Any, **named: Any) -> Any:
            if len(sample) > 2:  # one image with guidance: with and without its caption
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
            return real(sample, *given, **named)

        pipe.unet.forward = small

    drawn = list(open_with(monkeypatch, params, fill)(prompts))
    for one, other in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(one.pixels, other.pixels, atol=1e-4)
    assert "a batch of 3 images does not fit the device; continuing with 1" in capsys.readouterr().err


def test_a_caption_that_the_text_encoder_would_truncate_is_refused(params: Params) -> None:
    draw = stable_diffusion.create(params)
    with pytest.raises(PolicyError, match=r"prompt p1: \d+ tokens; expected at most 32"):
        next(draw([prompt(1, "a very long caption " * 5)]))


def test_a_missing_model_is_an_error_that_lists_the_choices() -> None:
    absent = with_preset("models/absent")
    for step in (stable_diffusion.describe, stable_diffusion.create):
        with pytest.raises(ModelError, match=r"tiny\.model: models/absent is not a local folder, and not available"):
            step(absent)


def test_a_missing_part_of_a_model_is_named(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_bytes((model_folder / "model_index.json").read_bytes())
    for part in ("vae", "text_encoder", "tokenizer", "scheduler"):
        (tmp_path / part).mkdir()
    with pytest.raises(
        ModelError, match="not a complete diffusers model: unet/ is missing; expected UNet2DConditionMo"
    ):
        stable_diffusion.create(with_preset(tmp_path))
    (tmp_path / "unet").mkdir()
    with pytest.raises(ModelError, match="is not a complete diffusers model"):
        stable_diffusion.create(with_preset(tmp_path))


def test_only_small_local_models_on_the_cpu_use_several_processes(
    params: Params, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stable_diffusion.processes(params, 2) == 2
    assert stable_diffusion.processes(with_preset("somebody/on-the-hub"), 2) == 1
    monkeypatch.setattr(sampler, "SMALL_BYTES", 1000)
    assert stable_diffusion.processes(with_preset(model_folder), 2) == 1


def test_a_small_model_uses_one_thread_and_restores_the_thread_count(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def watch(pipe: Any) -> None:
        pipe.unet.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        next(open_with(monkeypatch, params, watch)([prompt(1)]))
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_description_has_the_hash_of_the_files_and_no_path(params: Params, model_folder: Path) -> None:
    found = stable_diffusion.describe(params)
    assert (found.model, found.licence, found.licence_tag) == ("model", *["creativeml-openrail-m"] * 2)
    assert re.fullmatch("sha256:[0-9a-f]{16}", str(found.revision))
    assert found.settings["preset"] == "tiny"
    assert found.settings["steps"] == 2
    assert str(model_folder) not in str(found)


def test_a_licence_that_forbids_commercial_use_must_be_acknowledged(model_folder: Path) -> None:
    card = model_folder / "README.md"
    before = card.read_text(encoding="utf-8")
    card.write_text("---\nlicense: other\nlicense_name: sai-nc-community\n---\n", encoding="utf-8")
    try:
        with pytest.raises(ParamsError, match=re.escape(f"{PLACE}.licence_acknowledged: null; model is under sai-nc")):
            stable_diffusion.describe(with_preset(model_folder))
        found = stable_diffusion.describe(with_preset(model_folder, licence_acknowledged="sai-nc-community"))
        assert (found.licence, found.licence_tag) == ("sai-nc-community", "other")
    finally:
        card.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("preset", ["bundled", "sd15", "turbo", "sdxl"])
def test_every_preset_of_params_yaml_is_valid(root: Path, preset: str) -> None:
    section = load_params(root / "params.yaml").generate.section("stable_diffusion")
    chosen = load_section(Params, {**section, "preset": preset}, "generate.stable_diffusion").chosen
    assert chosen.width * 4 == chosen.height * 3
    assert (chosen.width % 8, chosen.height % 8) == (0, 0)
    assert (chosen.model == "bundled") == (preset == "bundled")


def test_every_preset_of_params_yaml_is_tested_here(root: Path) -> None:
    section = load_params(root / "params.yaml").generate.section("stable_diffusion")
    assert list(section["presets"]) == ["bundled", "sd15", "turbo", "sdxl"]
    assert section["preset"] == "bundled"


def test_an_unknown_preset_is_an_error_that_lists_the_presets(root: Path) -> None:
    section = load_params(root / "params.yaml").generate.section("stable_diffusion")
    with pytest.raises(ParamsError, match=r"preset: 'sd2'; expected one of those under presets: bundled, sd15, turbo"):
        load_section(Params, {**section, "preset": "sd2"}, "generate.stable_diffusion")


def test_the_former_name_of_the_bundled_model_is_accepted_with_a_note(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note_renamed.cache_clear()
    section = load_params(root / "params.yaml").generate.section("stable_diffusion")
    former = load_section(Params, {**section, "preset": "embedded"}, "generate.stable_diffusion")
    assert former == load_section(Params, {**section, "preset": "bundled"}, "generate.stable_diffusion")
    own = {"embedded": {**section["presets"]["bundled"], "model": "embedded"}}
    assert load_section(Params, {"preset": "embedded", "presets": own}, "here").chosen == former.chosen
    notes = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in notes] == [
        "params.yaml preset: 'embedded'",
        "params.yaml model: 'embedded'",
    ]
    assert all("renamed to 'bundled': change it" in line for line in notes)
