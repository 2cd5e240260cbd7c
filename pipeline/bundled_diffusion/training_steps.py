"""The steps from a recipe to a model folder, each done once: what lies in the work folder already is not made again.

world        rendered portraits of every caption          world/NNNNN.npy
attributes   the network whose features others learn by   attributes.safetensors
autoencoder  and its gate: are helmets still read?        autoencoder/, autoencoder-*.csv
text         tokenizer, text encoder, every caption       tokenizer/, text_encoder/, text.npy
guided       latents and features of every portrait,      world/NNNNN.latents.npy, world/NNNNN.features.npy
             the long one, the denoiser,                  teacher/, denoiser.csv
             and its copy that is told how strongly       guided/, guidance.csv
reader       the network that tells                       reader.safetensors
reward       that copy and the decoder, taught by what    vae/, unet/, reward.csv
             their pictures tell
judge        the network that measures                    judge.safetensors, judge.json
folder       the parts as one pipeline, float16           the model folder, with learning.csv and reward.csv
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from rich.console import Console
from transformers import CLIPTextModel, CLIPTokenizer

from pipeline.bundled_diffusion.config import AttributeRecipe, Recipe, Start
from pipeline.bundled_diffusion.distributed import run_team
from pipeline.bundled_diffusion.latent_cache import fill_cache
from pipeline.bundled_diffusion.networks.attribute_net import (
    AttributeNet,
    fit_attributes,
    load_attributes,
    save_attributes,
)
from pipeline.bundled_diffusion.networks.autoencoder import decode, encode
from pipeline.bundled_diffusion.networks.text_encoder import (
    build_text_encoder,
    build_tokenizer,
    encode_text,
    fit_text_encoder,
    tokenize,
)
from pipeline.bundled_diffusion.portrait_dataset import World, code_factors, draw_world, open_world, world_prompts
from pipeline.bundled_diffusion.prompt_alignment import measure_agreement, see
from pipeline.bundled_diffusion.save_pipeline import LIMIT_BYTES, assemble, write_folder
from pipeline.bundled_diffusion.training.train_loop import open_device
from pipeline.bundled_diffusion.training.training_curves import LEARNING, REWARD, write_curves
from pipeline.data.hashing import folder_bytes
from pipeline.data.records import Prompt
from pipeline.data.storage import write_json
from pipeline.errors import ModelError, ParamsError

_TAKEN_OVER: Mapping[str, Mapping[str, str]] = {  # part -> what it is called in a model folder -> in a work folder
    "attributes": {"attributes.safetensors": "attributes.safetensors"},
    "text": {"tokenizer": "tokenizer", "text_encoder": "text_encoder"},
    "guided": {"vae": "autoencoder", "unet": "guided"},
    "judge": {"judge.safetensors": "judge.safetensors"},
}


def run(recipe: Recipe, params: Path) -> None:
    """Do every step that is not done yet; ``params`` is the file the recipe was read from.

    Raises:
        ParamsError: The work folder was begun with another recipe, or the machine has no such device.
        ModelError: The autoencoder loses helmets, or the model folder grows too large to ship.
    """
    processes = 1 if open_device(recipe.device).type == "cuda" else recipe.denoiser.processes
    _claim(recipe)
    if recipe.start is not None:
        _take_over(recipe.start, recipe.work)
    torch.set_num_threads(recipe.world.workers)
    steps: tuple[tuple[str, Path, Callable[[], None]], ...] = (
        ("attributes", recipe.work / "attributes.safetensors", lambda: _learn_attributes(recipe)),
        ("autoencoder", recipe.work / "autoencoder", lambda: run_team("autoencoder", params, processes)),
        ("text", recipe.work / "text.npy", lambda: _learn_text(recipe)),
        ("guided", recipe.work / "guided", lambda: _learn_guided(recipe, params, processes)),
        ("reader", recipe.work / "reader.safetensors", lambda: _learn_reader(recipe)),
        ("reward", recipe.work / "unet", lambda: run_team("reward", params, processes)),
        ("judge", recipe.work / "judge.json", lambda: _learn_judge(recipe)),
    )
    console = Console(stderr=True)
    console.print("world")
    draw_world(_prompts(recipe), recipe.world, (recipe.width, recipe.height), recipe.work / "world")
    for name, made, step in steps:
        console.print(f"{name}: there already" if made.exists() else name)
        if not made.exists():
            step()
        if name == "autoencoder":
            _check_autoencoder(recipe)
    size = write_model(recipe)
    console.print(f"{recipe.out}: {size / 1e6:.1f} MB")


def write_model(recipe: Recipe) -> int:
    """Write the model folder, the attribute networks and the log of the learning; returns the size in bytes."""
    write_folder(assemble(recipe.work), recipe.out)
    for name in ("attributes.safetensors", "judge.safetensors"):
        save_attributes(load_attributes(recipe.work / name).half(), recipe.out / name)
    if recipe.begins_with("guided") is None:
        write_curves(recipe.work / "denoiser.csv", LEARNING, recipe.out / "learning")
    write_curves(recipe.work / "reward.csv", REWARD, recipe.out / "reward")
    size = folder_bytes(recipe.out)
    if size > LIMIT_BYTES:
        raise ModelError(f"{recipe.out}: {size} bytes; expected at most {LIMIT_BYTES}; make denoiser.widths smaller")
    return size


def _claim(recipe: Recipe) -> None:
    recipe.work.mkdir(parents=True, exist_ok=True)
    path, mine = recipe.work / "recipe.json", recipe.model_dump_json(indent=1, exclude={"work", "out"})
    if path.is_file() and path.read_text(encoding="utf-8") != mine:
        raise ParamsError(f"{recipe.work}: begun with another recipe; delete it, or name another folder as work")
    path.write_text(mine, encoding="utf-8")


def _take_over(start: Start, work: Path) -> None:
    names = {name: taken for part in start.parts for name, taken in _TAKEN_OVER.get(part, {}).items()}
    for name, taken in names.items():
        source, target = start.folder / name, work / taken
        if not source.exists():
            raise ModelError(f"start.folder: {source} is missing; expected a folder that this training wrote")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)


def _prompts(recipe: Recipe) -> list[Prompt]:
    return world_prompts(recipe.policies, recipe.world.policies, recipe.world.seed)


def _open(recipe: Recipe) -> tuple[World, World]:
    """The portraits to learn from, and those held out."""
    world = open_world(_prompts(recipe), recipe.work / "world")
    return world.part(slice(None, -recipe.world.held_out)), world.part(slice(-recipe.world.held_out, None))


def _learn_attributes(recipe: Recipe) -> None:
    save_attributes(_fit(recipe, recipe.attributes), recipe.work / "attributes.safetensors")


def _learn_reader(recipe: Recipe) -> None:
    save_attributes(_fit(recipe, recipe.reader), recipe.work / "reader.safetensors")


def _learn_judge(recipe: Recipe) -> None:
    path = recipe.work / "judge.safetensors"
    if recipe.begins_with("judge") is None:
        save_attributes(_fit(recipe, recipe.judge), path)
    _, held_out = _open(recipe)
    found = measure_agreement(held_out.prompts, see(load_attributes(path), held_out.pixels))
    write_json(recipe.work / "judge.json", {name: rate.share for name, rate in found.items()})


def _fit(recipe: Recipe, how: AttributeRecipe) -> AttributeNet:
    world, _ = _open(recipe)
    device = open_device(recipe.device)
    return fit_attributes(world.pixels, world.codes, world.factors, how, device).cpu()


def _check_autoencoder(recipe: Recipe) -> None:
    _, held_out = _open(recipe)
    device, vae = open_device(recipe.device), recipe.work / "autoencoder"
    autoencoder = AutoencoderKL.from_pretrained(vae, dtype=torch.float32, low_cpu_mem_usage=False).to(device)
    decoded = decode(autoencoder, encode(autoencoder, held_out.pixels))
    seen = see(load_attributes(recipe.work / "attributes.safetensors").to(device), decoded)
    read = measure_agreement(held_out.prompts, seen)["helmet"].share
    if read < recipe.autoencoder.helmets_read:
        raise ModelError(
            f"{vae}: helmets read through encode-decode {read:.3f}; expected at least "
            f"{recipe.autoencoder.helmets_read} before a denoiser is worth its hours; learn it longer, or give it more "
            "autoencoder.latent_channels"
        )


def _learn_text(recipe: Recipe) -> None:
    prompts = _prompts(recipe)
    if recipe.begins_with("text") is None:
        _learn_text_encoder(recipe, prompts)
    tokenizer = CLIPTokenizer.from_pretrained(recipe.work / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(recipe.work / "text_encoder", dtype=torch.float32).eval()
    encoder.to(open_device(recipe.device))
    np.save(recipe.work / "empty.npy", encode_text(encoder, tokenize(tokenizer, [""]))[0])
    np.save(recipe.work / "text.npy", encode_text(encoder, tokenize(tokenizer, [prompt.text for prompt in prompts])))


def _learn_text_encoder(recipe: Recipe, prompts: Sequence[Prompt]) -> None:
    captions, shape = [prompt.text for prompt in prompts], recipe.text
    tokenizer = build_tokenizer(captions, shape.tokens)
    factors, codes = code_factors(prompts)
    known = slice(None, -recipe.world.held_out)
    torch.manual_seed(shape.seed)
    encoder = build_text_encoder(tokenizer, shape.width, shape.layers)
    ids = tokenize(tokenizer, captions[known])
    fit_text_encoder(encoder, ids, {name: values[known] for name, values in codes.items()}, factors, shape)
    tokenizer.save_pretrained(recipe.work / "tokenizer")
    encoder.save_pretrained(recipe.work / "text_encoder")


def _learn_guided(recipe: Recipe, params: Path, processes: int) -> None:
    models, device = (recipe.work / "autoencoder", recipe.work / "attributes.safetensors"), open_device(recipe.device)
    if not (recipe.work / "teacher").exists():
        fill_cache(recipe.work / "world", *models, recipe.world.workers, device)
        run_team("denoiser", params, processes)
    run_team("guidance", params, processes)
