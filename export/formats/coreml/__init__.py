"""Core ML.

Recipes: ``float16``; ``wi8``, 8-bit weights; ``palette6`` and ``palette4``, weights from a palette of 64 or 16 values;
``wi8_ai8``, 8-bit weights and activations. All compute in halves.

Reads an ``ExportJob``; writes one .mlpackage, a classifier that takes an image and returns labels. Its bytes depend on
the job alone: there is no date and no random identifier in it. On macOS Core ML runs it; elsewhere ``interpreter/``
executes the program, which gives its accuracy but says nothing about latency.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from pydantic import Field

from export.decision import DESCRIPTION, read_decision
from export.formats import (
    INPUT,
    OUTPUT,
    ExportJob,
    Extras,
    FormatParams,
    Interface,
    Runtime,
    ToolkitDefaults,
    check_frame,
)
from export.formats.coreml.interpreter.float16_overflow import find_overflow
from export.formats.coreml.interpreter.program import DATA, open_package, read_spec
from export.formats.coreml.quantiser import open_quantiser, open_trace, quantise_by_default
from export.formats.coreml.swift_snippet import SNIPPET
from export.parity import Predict, Trace
from export.quantisation.int8_search import search
from export.toolkit_output import quiet_toolkits
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Quantisation
from pipeline.errors import ModelError, UnmeasurableError
from pipeline.machine.devices import torch_threads
from pipeline.train.model import PortableClassifier

TOOLS = ("torch", "coremltools")
Recipe = Literal["float16", "wi8", "palette6", "palette4", "wi8_ai8"]
RECIPES: tuple[str, ...] = get_args(Recipe)
Target = Literal["iOS16", "iOS17", "iOS18"]
_PALETTE_BITS = {"palette6": 6, "palette4": 4}
_LABEL = "label"
_CHECKED_FRAMES = 8
_OWN_KEYS = ("author", "license", "version", "description")


class Params(FormatParams):
    """Section ``convert.formats.coreml`` of params.yaml.

    Attributes:
        minimum_deployment_target: Oldest iOS that runs the packages; ``wi8_ai8`` needs iOS 17.
    """

    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1)]
    minimum_deployment_target: Target = "iOS16"


class _ImageClassifier(torch.nn.Module):
    """The classifier behind Core ML's image input, float (1, 3, height, width) in 0..1.

    Core ML scales an image by one number; mean and std of each channel are applied here.
    """

    def __init__(self, classifier: PortableClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        normalised = (image - self.classifier.mean) / self.classifier.std
        return torch.softmax(self.classifier.network(normalised), dim=1)


def suffix(recipe: str) -> str:  # noqa: ARG001 - all recipes share it
    """Return the package name's suffix."""
    return ".mlpackage"


def export(job: ExportJob, recipe: str, params: Params, path: Path) -> Quantisation | None:
    """Write the package ``path``; deterministic."""
    quantisation = None
    with quiet_toolkits():
        model = _convert(job, _target(recipe, params))
        if recipe in ("wi8", "wi8_ai8"):
            model = _quantise_weights(model)
        elif recipe in _PALETTE_BITS:
            model = _palettise_weights(model, _PALETTE_BITS[recipe])
    if recipe == "wi8_ai8":
        open_own = partial(open_quantiser, model, job.calibration)
        with torch_threads(1):  # the executor's ops are small: two threads take longer than one
            model, quantisation = search(open_own, job.reference, job.int8, job.report)
    with quiet_toolkits(), tempfile.TemporaryDirectory() as scratch:
        package = _save(model, job, Path(scratch))
        _check_overflow(package, job, path)
        _replace(path, package)
    return quantisation


def load(path: Path, threads: int = 1) -> Predict:
    """Open the package: in Core ML on macOS, elsewhere in the executor, with every result rounded as declared.

    Core ML chooses the number of threads itself.

    Raises:
        UnmeasurableError: The executor lacks an op of the program.
    """
    program = open_package(path)
    if platform.system() == "Darwin":
        return _load_on_mac(path, (program.height, program.width), program.labels)
    program.check_ops()

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, program.height, program.width, path)
        with torch_threads(threads):
            return program.run(frame)

    return predict


def describe(path: Path) -> Interface:
    """Read the description of the package and the labels of its classify op."""
    program = open_package(path)
    return Interface(
        input_name=program.input_name,
        dtype="uint8",
        layout="image",
        height=program.height,
        width=program.width,
        output_name=program.output_name,
        labels=program.labels,
        decision=read_decision(read_spec(path).description.metadata.userDefined, path),
    )


def annotate(path: Path, metadata: Mapping[str, str]) -> None:
    """Replace the metadata of the package, which Xcode shows."""
    _write_spec(path, read_spec(path), metadata)


def runtime() -> Runtime:
    """Core ML on macOS; elsewhere an executor whose latency and memory do not represent a phone."""
    if platform.system() == "Darwin":
        return Runtime("Core ML")
    return Runtime("MIL executor", "Core ML runs on Apple's systems only; run gossamer measure on a Mac")


def trace(path: Path) -> Trace:
    """Open the package so that it yields its intermediate results."""
    return open_trace(open_package(path))


def export_with_toolkit_defaults(job: ExportJob, recipe: str, params: Params, path: Path) -> None:
    """Quantise with coremltools' defaults, as a comparison for ``wi8`` and ``wi8_ai8``."""
    with quiet_toolkits(), tempfile.TemporaryDirectory() as scratch:
        plain = _convert(job, params.minimum_deployment_target)
        model = quantise_by_default(plain, job.calibration, activations=recipe == "wi8_ai8")
        _replace(path, _save(model, job, Path(scratch)))


EXTRAS = Extras(
    annotate=annotate,
    trace=trace,
    snippets=(SNIPPET,),
    toolkit_defaults=ToolkitDefaults(("wi8", "wi8_ai8"), export_with_toolkit_defaults),
)


def _load_on_mac(path: Path, size: tuple[int, int], labels: tuple[str, ...]) -> Predict:
    with quiet_toolkits():
        import coremltools

        model = coremltools.models.MLModel(str(path))

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, *size, path)
        probabilities = model.predict({INPUT: PIL.Image.fromarray(frame)})[OUTPUT]
        return np.array([probabilities[label] for label in labels], np.float32)

    return predict


def _target(recipe: str, params: Params) -> Target:
    """Return the target of params.yaml, but at least iOS 17 for ``wi8_ai8``: older ones cannot round activations."""
    target = params.minimum_deployment_target
    return "iOS17" if recipe == "wi8_ai8" and target == "iOS16" else target


@lru_cache(maxsize=2)
def _convert(job: ExportJob, target: Target) -> Any:  # noqa: ANN401 - coremltools has no types
    """Convert to a float16 program; cached, because every recipe of a job starts from it.

    The network is captured by ``torch.export``, not ``torch.jit.trace``: it turns TensorFlow's padding into pads of
    constant size.
    """
    import coremltools

    height, width = job.spec.input_size
    module = _ImageClassifier(job.network).eval()
    # coremltools has no ``alias``, which torch makes of slices of a whole axis, as GhostNet has them.
    decompositions = {torch.ops.aten.alias.default: lambda tensor: tensor}
    program = torch.export.export(module, (torch.zeros(1, 3, height, width),)).run_decompositions(decompositions)
    image = coremltools.ImageType(
        name=INPUT,
        shape=(1, 3, height, width),
        scale=1 / 255.0,
        bias=[0, 0, 0],
        color_layout=coremltools.colorlayout.RGB,
    )
    return coremltools.convert(
        program,
        convert_to="mlprogram",
        skip_model_load=True,
        minimum_deployment_target=getattr(coremltools.target, target),
        compute_precision=coremltools.precision.FLOAT16,
        inputs=[image],
        classifier_config=coremltools.ClassifierConfig(list(job.labels), predicted_feature_name=_LABEL),
    )


def _quantise_weights(model: Any) -> Any:  # noqa: ANN401 - coremltools has no types
    """Store weights as 8-bit integers with one scale per output channel."""
    from coremltools.optimize import coreml

    config = coreml.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", granularity="per_channel")
    return coreml.linear_quantize_weights(model, coreml.OptimizationConfig(global_config=config))


def _palettise_weights(model: Any, bits: int) -> Any:  # noqa: ANN401 - coremltools has no types
    """Store weights as indices into a palette of 2**bits values per tensor, chosen by k-means."""
    from coremltools.optimize import coreml

    config = coreml.OpPalettizerConfig(mode="kmeans", nbits=bits)
    return coreml.palettize_weights(model, coreml.OptimizationConfig(global_config=config))


def _save(model: Any, job: ExportJob, folder: Path) -> Path:  # noqa: ANN401 - coremltools has no types
    """Save a model as a package in ``folder`` and make its bytes depend on the job alone; returns the package."""
    package = folder / "model.mlpackage"
    model.save(str(package))
    _normalise(package, job)
    return package


def _replace(path: Path, package: Path) -> None:
    """Put a package in the place of an older one."""
    if path.exists():
        shutil.rmtree(path)
    shutil.copytree(package, path)


def _check_overflow(package: Path, job: ExportJob, path: Path) -> None:
    """Refuse a program whose halves overflow on calibration frames: on a phone its probabilities would be NaN.

    Raises:
        ModelError: A value overflows; the message names the op.
    """
    try:
        overflow = find_overflow(open_package(package), job.calibration[:_CHECKED_FRAMES])
    except UnmeasurableError as error:
        job.report(f"{path.name}: overflow of float16 not checked: {error}")
        return
    if overflow is not None:
        raise ModelError(
            f"{path.name}: op {overflow.kind} with the output {overflow.output!r} overflows float16 on calibration "
            f"frame {overflow.frame}: {overflow.magnitude:.4g}; expected at most 65504; train again with a greater "
            "train.weight_decay, or another train.backbone"
        )


def _normalise(package: Path, job: ExportJob) -> None:
    """Name the output, write the metadata, and remove dates and random identifiers."""
    from coremltools import utils

    spec = read_spec(package)
    if spec.description.predictedProbabilitiesName != OUTPUT:
        utils.rename_feature(spec, spec.description.predictedProbabilitiesName, OUTPUT)
        spec.description.predictedProbabilitiesName = OUTPUT
    # The converter leaves a table for its debugger beside the parts of the package.
    for extra in package.iterdir():
        if extra.name not in ("Data", "Manifest.json"):
            extra.unlink()
    _write_spec(package, spec, job.metadata)


def _write_spec(package: Path, spec: Any, facts: Mapping[str, str]) -> None:  # noqa: ANN401 - protobuf
    """Write the description of a package with these metadata, and the manifest that goes with it."""
    metadata = spec.description.metadata
    metadata.userDefined.clear()
    metadata.author, metadata.license = facts.get("author", ""), facts.get("license", "")
    metadata.versionString, metadata.shortDescription = facts.get("version", ""), facts.get(DESCRIPTION, "")
    metadata.userDefined.update({key: text for key, text in facts.items() if key not in _OWN_KEYS})
    (package / DATA / "model.mlmodel").write_bytes(spec.SerializeToString(deterministic=True))
    _write_manifest(package)


def _write_manifest(package: Path) -> None:
    """Replace the manifest's random identifiers by hashes of the parts they identify."""
    file = package / "Manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    entries, root = {}, ""
    for name, item in sorted(manifest["itemInfoEntries"].items(), key=lambda entry: str(entry[1]["path"])):
        part = package / "Data" / item["path"]
        content = b"".join(path.read_bytes() for path in sorted([part, *part.rglob("*")]) if path.is_file())
        identifier = _uuid(item["path"].encode() + b"\0" + content)
        entries[identifier] = item
        root = identifier if name == manifest["rootModelIdentifier"] else root
    if not root:
        raise ModelError(f"{file}: names no root model; expected a manifest of coremltools 9")
    manifest |= {"itemInfoEntries": entries, "rootModelIdentifier": root}
    # Core ML's own reader rewrites a manifest that is sorted differently, which would change the checksum.
    file.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def _uuid(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
