"""The command line ``gossamer``: one command per stage of the chain. ``pipeline.cli_commands`` has the other commands.

A command loads params, reads rows, calls the stage's ``run`` and writes rows. It takes paths as arguments; values come
from params.yaml. It imports its stage when it runs, so that ``gossamer --help`` is instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import cli_commands
from pipeline.cli_arguments import (
    POLICIES,
    ArtifactFolder,
    BaselineFolder,
    CheckpointFolder,
    CurationFile,
    FormatName,
    ImageFolder,
    KeptRows,
    MeasurementFile,
    MetricsFile,
    PolicyFile,
    PredictionTable,
    SelfieFolder,
    TrainingImageFolder,
    TrainingRows,
    ValidationRows,
    reads,
    writes,
)
from pipeline.cli_errors import ErrorHandlingGroup, print_note

app = typer.Typer(
    cls=ErrorHandlingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(f"gossamer {version('gossamer')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool, typer.Option("--version", help="print the version and exit", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Turn a written policy into a phone-ready model, and measure how well it does.

    Start with: dvc repro
    """
    from pipeline.data.finished_work import clear_finished_work

    clear_finished_work(Path.cwd())


@app.command()
def prompts(
    policy: PolicyFile = POLICIES,
    out: Annotated[Path, writes("prompts, JSON lines")] = Path("data/prompts.jsonl"),
    metrics: MetricsFile = Path("metrics/prompts.json"),
) -> None:
    """Write prompts for a policy: stratified, plausible, and in counterfactual pairs."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.config.policy_check import check_policy
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.storage import write_json, write_rows
    from pipeline.prompts import stage

    params, checked = load_params(), load_policy(policy)
    check_policy(params, checked, str(policy), print_note)
    result = stage.run(params.prompts, checked)
    write_rows(out, result.prompts)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "prompts", result.machine)


@app.command()
def generate(
    prompts: Annotated[Path, reads("prompts, JSON lines")] = Path("data/prompts.jsonl"),
    policy: PolicyFile = POLICIES,
    out: Annotated[Path, writes("folder of images in tar shards")] = Path("data/images"),
    metrics: MetricsFile = Path("metrics/generate.json"),
) -> None:
    """Generate one image per prompt, or pack photographs; an interrupted run resumes."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.config.policy_check import check_policy
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.records import Prompt
    from pipeline.data.storage import read_rows, write_json
    from pipeline.generate import stage

    params, checked = load_params(), load_policy(policy)
    check_policy(params, checked, str(policy), print_note)
    if params.dataset.source == "photos":
        result = stage.run_photos(params.dataset, list(checked.labels), params.generate.images_per_shard, out)
    else:
        result = stage.run(params.generate, read_rows(prompts, Prompt), out, policy.stem)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "generate", result.machine)


@app.command()
def curate(
    images: ImageFolder = Path("data/images"),
    policy: PolicyFile = POLICIES,
    kept: Annotated[Path, writes("kept images, JSON lines")] = Path("data/kept.jsonl"),
    rejected: Annotated[Path, writes("rejected images, JSON lines")] = Path("data/rejected.jsonl"),
    metrics: MetricsFile = Path("metrics/curate.json"),
    sheets: Annotated[Path, writes("folder of contact sheets")] = Path("report/curation"),
    decisions: Annotated[Path, reads("manual decisions of gossamer review, JSON lines")] = Path("data/decisions.jsonl"),
) -> None:
    """Reject broken, near-duplicate and mislabelled images, each with its reason and score."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.curate import stage
    from pipeline.curate.contact_sheets import write_contact_sheets
    from pipeline.curate.manual_decisions import read_decisions
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.shards import read_index
    from pipeline.data.storage import write_json, write_rows

    params = load_params().curate
    inputs = stage.CurateInputs(images, kept.with_name("curate.work"), read_decisions(decisions))
    result = stage.run(params, read_index(images), inputs, load_policy(policy))
    write_rows(kept, result.kept)
    write_rows(rejected, result.rejected)
    write_contact_sheets(params, result, images, sheets)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "curate", result.machine)


@app.command()
def split(
    kept: KeptRows = Path("data/kept.jsonl"),
    train: Annotated[Path, writes("training rows, JSON lines")] = Path("data/train.jsonl"),
    val: Annotated[Path, writes("validation rows, JSON lines")] = Path("data/val.jsonl"),
) -> None:
    """Hold out whole scenes for validation: no scene is on both sides."""
    from pipeline import split as stage
    from pipeline.config.params import load_params
    from pipeline.data.records import Image
    from pipeline.data.storage import read_rows, write_rows

    result = stage.run(load_params().split, read_rows(kept, Image))
    write_rows(train, result.train)
    write_rows(val, result.val)


@app.command()
def train(
    train: TrainingRows = Path("data/train.jsonl"),
    val: ValidationRows = Path("data/val.jsonl"),
    images: ImageFolder = Path("data/images"),
    policy: PolicyFile = POLICIES,
    out: Annotated[Path, writes("folder of the checkpoint")] = Path("models/checkpoint"),
    metrics: MetricsFile = Path("metrics/train.json"),
    plot: Annotated[Path, writes("loss and accuracy by epoch, CSV")] = Path("plots/train.csv"),
) -> None:
    """Train the backbone; an interrupted run resumes after its last complete epoch."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.records import Image
    from pipeline.data.storage import read_rows, write_csv, write_json
    from pipeline.metrics.decision_threshold import average_costs
    from pipeline.train import stage
    from pipeline.train.method import TrainRows

    checked, validation = load_policy(policy), read_rows(val, Image)
    rows = TrainRows(read_rows(train, Image), validation, images, average_costs(checked, validation))
    result = stage.run(load_params().train, list(checked.labels), rows, out)
    write_csv(plot, result.curve)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "train", result.machine)


@app.command()
def selfies(
    policy: PolicyFile = POLICIES,
    out: Annotated[Path, writes("folder of the test sets, selfies in tar shards")] = Path("data/selfies"),
    images: TrainingImageFolder = Path("data/images"),
) -> None:
    """Make the test sets: rendered selfies, and folders of photographs, that training never sees."""
    from benchmarks.evaluation.training_overlap import read_training_images
    from benchmarks.selfies import stage
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy

    params, checked = load_params(), load_policy(policy)
    photographs = stage.read_photograph_sets(params.selfies, params.dataset, list(checked.labels))
    training = read_training_images(images) if photographs else None
    scenes = stage.draw_scenes(params.selfies, checked)
    stage.run(params.selfies, stage.SelfieSources(scenes, photographs, training), out)


@app.command()
def convert(
    format_name: FormatName,
    checkpoint: CheckpointFolder = Path("models/checkpoint"),
    train: TrainingRows = Path("data/train.jsonl"),
    val: ValidationRows = Path("data/val.jsonl"),
    images: ImageFolder = Path("data/images"),
    policy: PolicyFile = POLICIES,
    out: Annotated[Path, writes("parent of the folder of artifacts, OUT/FORMAT/")] = Path("artifacts"),
    metrics: Annotated[Path, writes("parent of the figures, METRICS/convert-FORMAT.json")] = Path("metrics"),
) -> None:
    """Convert the checkpoint to every recipe of one format, and compare each artifact with it."""
    from export import convert as stage
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.hashing import content_hash
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.records import Image
    from pipeline.data.storage import read_rows, write_json
    from pipeline.metrics.decision_threshold import average_costs
    from pipeline.train.model import load_checkpoint

    params, checked, validation = load_params().convert, load_policy(policy), read_rows(val, Image)
    costs = average_costs(checked, validation, params.retake_cost)
    rows = stage.ConvertRows(
        images, read_rows(train, Image), validation, checked.question, costs, content_hash(checked)
    )
    result = stage.run(params, format_name, load_checkpoint(checkpoint), rows, out / format_name)
    write_json(metrics / f"convert-{format_name}.json", result.metrics)
    record_machine_figures(metrics / MACHINE_JSON, f"convert-{format_name}", result.machine)


@app.command()
def measure(
    artifacts: ArtifactFolder = Path("artifacts"),
    checkpoint: CheckpointFolder = Path("models/checkpoint"),
    selfies: SelfieFolder = Path("data/selfies"),
    policy: PolicyFile = POLICIES,
    metrics: MetricsFile = Path("metrics/measure.json"),
    predictions: Annotated[Path, writes("predictions, Parquet")] = Path("data/predictions.parquet"),
    plots: Annotated[Path, writes("folder of plot data, PLOTS/*.csv")] = Path("plots"),
    images: TrainingImageFolder = Path("data/images"),
) -> None:
    """Measure every artifact on every test set: accuracy, slices, latency, memory and size."""
    from benchmarks import measure as stage
    from benchmarks.evaluation.accuracy import policy_facts
    from benchmarks.evaluation.inference import EvaluationSet, read_artifacts, read_reference
    from benchmarks.evaluation.selfie_sets import has_photographs, read_selfie_sets, take_headline
    from benchmarks.evaluation.training_overlap import read_training_images
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy

    params = load_params()
    sets = read_selfie_sets(selfies)
    headline, others = take_headline(sets, params.measure.headline, selfies)
    facts = policy_facts(load_policy(policy), params.gate.slice_pairs)
    models = read_reference(checkpoint), read_artifacts(artifacts)
    evaluation_set = EvaluationSet(*models, headline.folder, headline.rows, facts, headline.card)
    training = read_training_images(images) if has_photographs(sets) else None
    result = stage.run(params.measure, evaluation_set, others=others, training=training)
    stage.write(result, metrics, predictions, plots)


@app.command()
def gate(
    measured: MeasurementFile = Path("metrics/measure.json"),
    predictions: PredictionTable = Path("data/predictions.parquet"),
    baseline: BaselineFolder = Path("benchmarks/baseline"),
    out: Annotated[Path, writes("verdict, JSON")] = Path("metrics/gate.json"),
    artifacts: ArtifactFolder = Path("artifacts"),
    selfies: SelfieFolder = Path("data/selfies"),
    fetched: Annotated[Path, reads("folder of the baseline's artifacts, to time")] = Path("data/baseline"),
    curation: CurationFile = Path("metrics/curate.json"),
) -> None:
    """Check the measurements against limits and the accepted baseline, and write the verdict."""
    from benchmarks.evaluation.label_verification import read_label_verification
    from benchmarks.evaluation.measurement import read_measurement
    from benchmarks.evaluation.predictions import read_predictions
    from benchmarks.gate import stage
    from benchmarks.gate.baseline import read_baseline
    from benchmarks.gate.provenance import RunPaths, check_run, read_run
    from benchmarks.gate.resource_bench import Places, open_bench
    from pipeline.config.params import load_params

    paths = RunPaths(artifacts, selfies, measured, predictions, baseline)
    check_run(read_run(paths).without_verdict())
    params, measurement, accepted = load_params().gate, read_measurement(measured), read_baseline(baseline)
    bench = open_bench(params.latency, measurement, accepted, Places(artifacts, selfies, fetched))
    result = stage.run(params, measurement, read_predictions(predictions), accepted, bench)
    stage.write(result.with_labels(params, read_label_verification(curation)), out)


@app.command()
def report(
    policy: PolicyFile = POLICIES,
    page: Annotated[Path, writes("report, HTML")] = Path("report/index.html"),
    comment: Annotated[Path, writes("comment for a pull request, Markdown")] = Path("report/summary.md"),
    run: Annotated[Path, writes("the run that both show, JSON")] = Path("report/run.json"),
    summary: Annotated[Path, writes("figures to compare between runs, JSON")] = Path("metrics/summary.json"),
) -> None:
    """Write the report: one HTML page, a short comment for a pull request, and the figures to compare between runs."""
    from benchmarks.evaluation.conditions import read_conditions
    from benchmarks.gate.provenance import RunPaths, check_run, read_run
    from benchmarks.report import stage
    from benchmarks.report.inputs import ReportPaths, read_report_input
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy

    checked, params = load_policy(policy), load_params()
    check_run(read_run(RunPaths()), checked, params)
    conditions = read_conditions(params, checked)
    inputs = read_report_input(ReportPaths(), checked.name, checked.question, conditions)
    stage.write(stage.run(params.report, inputs), stage.ReportFiles(page, comment, summary, run))


@app.command()
def doctor() -> None:
    """Print what this machine has: devices, runtimes, optional parts, memory and disk."""
    from export.formats import format_names, open_format
    from pipeline.machine.doctor import PACKAGES, examine, show
    from pipeline.train.package_weights import PACKAGES as PACKAGED_WEIGHTS

    formats = {name: open_format(name) for name in format_names()}
    toolkits = {tool for artifact_format in formats.values() for tool in artifact_format.TOOLS} - {*PACKAGES}
    unmeasured = {name: artifact_format.runtime().unmeasured for name, artifact_format in formats.items()}
    weights = {backbone: package.state() for backbone, package in PACKAGED_WEIGHTS.items()}
    show(examine(Path.cwd(), sorted(toolkits), unmeasured, weights))


app.add_typer(cli_commands.app)  # last, so that --help lists the stages first

if __name__ == "__main__":
    app()
