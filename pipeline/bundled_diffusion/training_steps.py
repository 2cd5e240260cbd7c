"""All training steps in order, from a configuration to a model folder. A step whose output exists is skipped.

step           trains                                                output in the work folder
dataset        (renders the portraits of all captions)               dataset/NNNNN.npy
attribute_net  network whose features are training targets           attributes.safetensors
autoencoder    autoencoder; must preserve helmets                    autoencoder/, autoencoder-*.csv
text_encoder   tokenizer and text encoder; encodes all captions      tokenizer/, text_encoder/, captions.npy
distilled      (encodes all portraits)                               dataset/NNNNN.latents.npy, NNNNN.features.npy
               denoiser, by far the longest training                 teacher/, denoiser.csv
               its copy that takes the guidance scale as input       distilled/, distillation.csv
reward_model   network that scores pictures in the next step         reward_model.safetensors
reward         distilled denoiser and decoder, on the reward         vae/, unet/, reward.csv
judge          network that evaluates the model                      judge.safetensors, judge.json

At the end the parts are written to the model folder as one float16 pipeline, with the training curves learning.csv
(denoiser) and reward.csv.
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

from pipeline.bundled_diffusion.config import AttributeNetConfig, InitialWeights, TrainingConfig
from pipeline.bundled_diffusion.distributed import run_distributed
from pipeline.bundled_diffusion.networks.attribute_net import AttributeNet, load_attribute_net, save_attribute_net
from pipeline.bundled_diffusion.networks.autoencoder import decode, encode
from pipeline.bundled_diffusion.networks.text_encoder import build_text_encoder, build_tokenizer, encode_text, tokenize
from pipeline.bundled_diffusion.portrait_dataset import (
    PortraitDataset,
    dataset_folder,
    encode_factors,
    load_dataset,
    render_dataset,
    training_prompts,
)
from pipeline.bundled_diffusion.prompt_alignment import measure_alignment, predict_factors
from pipeline.bundled_diffusion.save_pipeline import LIMIT_BYTES, assemble_pipeline, save_pipeline
from pipeline.bundled_diffusion.training.latent_cache import fill_cache
from pipeline.bundled_diffusion.training.train_attribute_net import train_attribute_net
from pipeline.bundled_diffusion.training.train_loop import choose_training_device
from pipeline.bundled_diffusion.training.train_text_encoder import train_text_encoder
from pipeline.bundled_diffusion.training.training_curves import DENOISER, REWARD, write_curves
from pipeline.data.hashing import folder_bytes
from pipeline.data.records import Prompt
from pipeline.data.storage import write_json
from pipeline.errors import ModelError, ParamsError

_INITIAL_FILES: Mapping[str, Mapping[str, str]] = {
    "attribute_net": {"attributes.safetensors": "attributes.safetensors"},
    "text_encoder": {"tokenizer": "tokenizer", "text_encoder": "text_encoder"},
    "distilled": {"vae": "autoencoder", "unet": "distilled"},
    "judge": {"judge.safetensors": "judge.safetensors"},
}
"""Part -> file in a model folder -> its copy in the work folder, for parts that are not trained further."""


def run(config: TrainingConfig, params: Path) -> None:
    """Run every training step whose output does not exist yet, then write the model folder.

    Args:
        config: The configuration.
        params: File that it was read from, for further processes.

    Raises:
        ParamsError: The work folder belongs to another configuration, or the machine lacks the device.
        ModelError: The autoencoder does not preserve helmets, or the model folder is too large to ship.
    """
    processes = 1 if choose_training_device(config.device).type == "cuda" else config.denoiser.processes
    _claim_work_folder(config)
    if config.start is not None:
        _copy_initial_weights(config.start, config.work)
    torch.set_num_threads(config.dataset.workers)
    steps: tuple[tuple[str, Path, Callable[[], None]], ...] = (
        ("attribute_net", config.work / "attributes.safetensors", lambda: _train_attribute_net(config)),
        ("autoencoder", config.work / "autoencoder", lambda: run_distributed("autoencoder", params, processes)),
        ("text_encoder", config.work / "captions.npy", lambda: _train_text_side(config)),
        ("distilled", config.work / "distilled", lambda: _train_distilled(config, params, processes)),
        ("reward_model", config.work / "reward_model.safetensors", lambda: _train_reward_model(config)),
        ("reward", config.work / "unet", lambda: run_distributed("reward", params, processes)),
        ("judge", config.work / "judge.json", lambda: _train_judge(config)),
    )
    console = Console(stderr=True)
    console.print("dataset")
    render_dataset(training_prompts(config), config.dataset, config.image_size, dataset_folder(config))
    for name, output, step in steps:
        console.print(f"{name}: exists" if output.exists() else name)
        if not output.exists():
            step()
        if name == "autoencoder":
            _check_autoencoder(config)
    size = write_model(config)
    console.print(f"{config.out}: {size / 1e6:.1f} MB")


def write_model(config: TrainingConfig) -> int:
    """Write pipeline, attribute networks and training curves to the model folder; returns its size in bytes.

    Raises:
        ModelError: The folder is too large to ship.
    """
    save_pipeline(assemble_pipeline(config.work), config.out)
    for name in ("attributes.safetensors", "judge.safetensors"):
        save_attribute_net(load_attribute_net(config.work / name).half(), config.out / name)
    if config.start_folder("distilled") is None:
        write_curves(config.work / "denoiser.csv", DENOISER, config.out / "learning")
    write_curves(config.work / "reward.csv", REWARD, config.out / "reward")
    size = folder_bytes(config.out)
    if size > LIMIT_BYTES:
        raise ModelError(f"{config.out}: {size} bytes; expected at most {LIMIT_BYTES}; reduce denoiser.widths")
    return size


def _claim_work_folder(config: TrainingConfig) -> None:
    """Record the configuration in the work folder; refuse a folder of another configuration or earlier version."""
    config.work.mkdir(parents=True, exist_ok=True)
    path, own = config.work / "config.json", config.model_dump_json(indent=1, exclude={"work", "out"})
    earlier_version = (config.work / "recipe.json").is_file()
    if earlier_version or (path.is_file() and path.read_text(encoding="utf-8") != own):
        raise ParamsError(
            f"{config.work}: belongs to a training with other params; expected a new folder or one of the same params; "
            "delete it, or set work to another folder"
        )
    path.write_text(own, encoding="utf-8")


def _copy_initial_weights(start: InitialWeights, work: Path) -> None:
    files = {name: copy for part in start.parts for name, copy in _INITIAL_FILES.get(part, {}).items()}
    for name, copy in files.items():
        source, target = start.folder / name, work / copy
        if not source.exists():
            raise ModelError(f"start.folder: {source} is missing; expected a model folder that make bundled wrote")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)


def _load_split(config: TrainingConfig) -> tuple[PortraitDataset, PortraitDataset]:
    """Portraits to train on, and those held out."""
    dataset = load_dataset(training_prompts(config), dataset_folder(config))
    held_out = config.dataset.held_out
    return dataset.subset(slice(None, -held_out)), dataset.subset(slice(-held_out, None))


def _train_attribute_net(config: TrainingConfig) -> None:
    save_attribute_net(_fit(config, config.attribute_net), config.work / "attributes.safetensors")


def _train_reward_model(config: TrainingConfig) -> None:
    save_attribute_net(_fit(config, config.reward_model), config.work / "reward_model.safetensors")


def _train_judge(config: TrainingConfig) -> None:
    path = config.work / "judge.safetensors"
    if config.start_folder("judge") is None:
        save_attribute_net(_fit(config, config.judge), path)
    _, held_out = _load_split(config)
    alignment = measure_alignment(held_out.prompts, predict_factors(load_attribute_net(path), held_out.pixels))
    write_json(config.work / "judge.json", {name: rate.share for name, rate in alignment.items()})


def _fit(config: TrainingConfig, settings: AttributeNetConfig) -> AttributeNet:
    dataset, _ = _load_split(config)
    device = choose_training_device(config.device)
    return train_attribute_net(dataset.pixels, dataset.codes, dataset.factors, settings, device).cpu()


def _check_autoencoder(config: TrainingConfig) -> None:
    _, held_out = _load_split(config)
    device, folder = choose_training_device(config.device), config.work / "autoencoder"
    autoencoder = AutoencoderKL.from_pretrained(folder, dtype=torch.float32, low_cpu_mem_usage=False).to(device)
    decoded = decode(autoencoder, encode(autoencoder, held_out.pixels))
    network = load_attribute_net(config.work / "attributes.safetensors").to(device)
    accuracy = measure_alignment(held_out.prompts, predict_factors(network, decoded))["helmet"].share
    if accuracy < config.autoencoder.min_helmet_accuracy:
        raise ModelError(
            f"{folder}: helmet accuracy after encoding and decoding {accuracy:.3f}; expected at least "
            f"{config.autoencoder.min_helmet_accuracy}; train the autoencoder longer, or increase "
            "autoencoder.latent_channels"
        )


def _train_text_side(config: TrainingConfig) -> None:
    prompts = training_prompts(config)
    if config.start_folder("text_encoder") is None:
        _train_text_encoder(config, prompts)
    tokenizer = CLIPTokenizer.from_pretrained(config.work / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(config.work / "text_encoder", dtype=torch.float32).eval()
    encoder.to(choose_training_device(config.device))
    np.save(config.work / "empty_caption.npy", encode_text(encoder, tokenize(tokenizer, [""]))[0])
    captions = tokenize(tokenizer, [prompt.text for prompt in prompts])
    np.save(config.work / "captions.npy", encode_text(encoder, captions))


def _train_text_encoder(config: TrainingConfig, prompts: Sequence[Prompt]) -> None:
    captions, settings = [prompt.text for prompt in prompts], config.text_encoder
    tokenizer = build_tokenizer(captions, settings.tokens)
    factors, codes = encode_factors(prompts)
    used = slice(None, -config.dataset.held_out)
    torch.manual_seed(settings.seed)
    encoder = build_text_encoder(tokenizer, settings.width, settings.layers)
    ids = tokenize(tokenizer, captions[used])
    train_text_encoder(encoder, ids, {name: values[used] for name, values in codes.items()}, factors, settings)
    tokenizer.save_pretrained(config.work / "tokenizer")
    encoder.save_pretrained(config.work / "text_encoder")


def _train_distilled(config: TrainingConfig, params: Path, processes: int) -> None:
    if not (config.work / "teacher").exists():
        networks = (config.work / "autoencoder", config.work / "attributes.safetensors")
        device = choose_training_device(config.device)
        fill_cache(dataset_folder(config), *networks, config.dataset.workers, device)
        run_distributed("denoiser", params, processes)
    run_distributed("distillation", params, processes)
