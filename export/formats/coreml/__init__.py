"""Core ML: ``float16``, ``wi8`` with 8-bit weights, ``palette6`` and ``palette4`` with weights from a palette.

``wi8_ai8`` has 8-bit weights and activations. Each is an .mlpackage that takes an image and names labels.
Reads an ``ExportJob``; writes one package whose bytes depend on the job alone: no date, no random identifiers.
On macOS Core ML itself runs it; elsewhere ``interpreter/`` executes the program, so accuracy is measured and latency is
not.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from pydantic import Field

from export.formats import INPUT, OUTPUT, ExportJob, FormatParams, Interface, Runtime, check_frame
from export.formats.coreml.interpreter.float16_overflow import find_overflow
from export.formats.coreml.interpreter.program import DATA, open_package, read_spec
from export.formats.coreml.quantiser import open_quantiser, open_trace
from export.parity import Predict, Trace
from export.quantisation.int8_search import search
from export.toolkit_output import quiet_toolkits
from pipeline.data.preprocess import Pixels
from pipeline.data.records import Quantisation
from pipeline.errors import ModelError
from pipeline.machine.devices import torch_threads
from pipeline.train.model import PortableClassifier

TOOLS = ("torch", "coremltools")
Target = Literal["iOS16", "iOS17", "iOS18"]
_PALETTE_BITS = {"palette6": 6, "palette4": 4}
_LABEL = "label"
_CHECKED_FRAMES = 8
_OWN_KEYS = ("author", "license", "version", "description")


class Params(FormatParams):
    """The section ``convert.coreml``."""

    recipes: Annotated[tuple[Literal["float16", "wi8", "palette6", "palette4", "wi8_ai8"], ...], Field(min_length=1)]
    minimum_deployment_target: Target = "iOS16"


class _ImageClassifier(torch.nn.Module):
    """Takes what Core ML's image input gives: float (1, 3, height, width) in 0..1; mean and std are a channel's own."""

    def __init__(self, classifier: PortableClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        normalised = (image - self.classifier.mean) / self.classifier.std
        return torch.softmax(self.classifier.network(normalised), dim=1)


def suffix(recipe: str) -> str:  # noqa: ARG001 - all recipes share it
    """Name the file's ending."""
    return ".mlpackage"


def export(job: ExportJob, recipe: str, params: Params, path: Path) -> Quantisation | None:
    """Write the package ``path``; deterministic."""
    chosen = None
    with quiet_toolkits():
        model = _convert(job, _target(recipe, params))
        if recipe in ("wi8", "wi8_ai8"):
            model = _quantise_weights(model)
        elif recipe in _PALETTE_BITS:
            model = _palettise_weights(model, _PALETTE_BITS[recipe])
    if recipe == "wi8_ai8":
        with torch_threads(1):  # the executor's ops are small: two threads take longer than one
            model, chosen = search(partial(open_quantiser, model, job.calibration), job.judge, job.int8, job.tell)
    with quiet_toolkits(), tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "model.mlpackage"
        model.save(str(package))
        _settle(package, job)
        _check_halves(package, job, path)
        if path.exists():
            shutil.rmtree(path)
        shutil.copytree(package, path)
    return chosen


def load(path: Path, threads: int = 1) -> Predict:
    """Open the package: in Core ML on macOS, elsewhere in our executor with every result rounded as declared.

    Core ML takes no number of threads.
    """
    program = open_package(path)
    if platform.system() == "Darwin":
        return _load_on_mac(path, (program.height, program.width), program.labels)

    def predict(frame: Pixels) -> NDArray[np.float32]:
        check_frame(frame, program.height, program.width, path)
        with torch_threads(threads):
            return program.run(frame)

    return predict


def trace(path: Path) -> Trace:
    """Open it so that it shows every float tensor on the way."""
    return open_trace(open_package(path))


def describe(path: Path) -> Interface:
    """Read the package's own description and the labels of its classify op."""
    program = open_package(path)
    return Interface(
        input_name=program.input_name,
        dtype="uint8",
        layout="image",
        height=program.height,
        width=program.width,
        output_name=program.output_name,
        labels=program.labels,
    )


def runtime() -> Runtime:
    """Core ML on a Mac; elsewhere an executor whose time and memory say nothing about a phone."""
    if platform.system() == "Darwin":
        return Runtime("Core ML")
    return Runtime("MIL executor", "Core ML runs on Apple's systems only; run gossamer measure on a Mac")


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
    """Give what params say; ops that round activations came with iOS 17."""
    return (
        "iOS17"
        if recipe == "wi8_ai8" and params.minimum_deployment_target == "iOS16"
        else params.minimum_deployment_target
    )


@lru_cache(maxsize=2)
def _convert(job: ExportJob, target: Target) -> Any:  # noqa: ANN401 - coremltools has no types
    """Convert to a float16 program; kept, because the quantised recipe starts from it.

    ``torch.export`` and not ``torch.jit.trace``: with it TensorFlow's padding becomes plain pads of a known size.
    """
    import coremltools

    height, width = job.spec.input_size
    module = _ImageClassifier(job.network).eval()
    program = torch.export.export(module, (torch.zeros(1, 3, height, width),)).run_decompositions({})
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
    """Store weights as 8-bit integers, a scale for each output channel."""
    from coremltools.optimize import coreml

    each = coreml.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", granularity="per_channel")
    return coreml.linear_quantize_weights(model, coreml.OptimizationConfig(global_config=each))


def _palettise_weights(model: Any, bits: int) -> Any:  # noqa: ANN401 - coremltools has no types
    """Store weights as indices into a palette of 2**bits values for each tensor, chosen by k-means."""
    from coremltools.optimize import coreml

    each = coreml.OpPalettizerConfig(mode="kmeans", nbits=bits)
    return coreml.palettize_weights(model, coreml.OptimizationConfig(global_config=each))


def _check_halves(package: Path, job: ExportJob, path: Path) -> None:
    """Refuse a program whose halves overflow on calibration frames: a phone would answer NaN.

    Raises:
        ModelError: It does; names the op.
    """
    frames = job.calibration[:_CHECKED_FRAMES]
    found = find_overflow(open_package(package), frames)
    if found is not None:
        raise ModelError(
            f"{path.name}: op {found.kind} that gives {found.output!r} overflows float16 on calibration frame "
            f"{found.frame}: it reaches {found.magnitude:.4g}, a half holds 65504; train again with a greater "
            "train.weight_decay, or another train.backbone"
        )


def _settle(package: Path, job: ExportJob) -> None:
    """Name the output, write the metadata, and make the bytes depend on the content alone."""
    from coremltools import utils

    spec = read_spec(package)
    if spec.description.predictedProbabilitiesName != OUTPUT:
        utils.rename_feature(spec, spec.description.predictedProbabilitiesName, OUTPUT)
        spec.description.predictedProbabilitiesName = OUTPUT
    metadata = spec.description.metadata
    metadata.userDefined.clear()
    metadata.author, metadata.license = job.metadata.get("author", ""), job.metadata.get("license", "")
    metadata.versionString = job.metadata.get("version", "")
    metadata.shortDescription = job.metadata.get("description", "")
    metadata.userDefined.update({key: text for key, text in job.metadata.items() if key not in _OWN_KEYS})
    data = spec.SerializeToString(deterministic=True)
    (package / DATA / "model.mlmodel").write_bytes(data)
    # torch.export's converter leaves a table for its debugger beside the package's own parts.
    for extra in package.iterdir():
        if extra.name not in ("Data", "Manifest.json"):
            extra.unlink()
    _write_manifest(package)


def _write_manifest(package: Path) -> None:
    """Replace the manifest's random identifiers by ones that follow from the parts they name."""
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
        raise ModelError(f"{file}: names no root model; expected one that coremltools 9 wrote")
    manifest |= {"itemInfoEntries": entries, "rootModelIdentifier": root}
    # Core ML's own reader rewrites a manifest that is not sorted just so, and the checksum would no longer hold.
    file.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def _uuid(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
