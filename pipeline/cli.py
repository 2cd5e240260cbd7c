"""The roof: one typer app, ``gossamer``. Each command loads params, reads rows, calls a stage's run and writes rows.

The stages' commands stand here, the others in ``pipeline.cli_commands``. Stages are imported when their command runs:
``gossamer --help`` answers at once. Paths are arguments, values params.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline import cli_commands
from pipeline.cli_errors import GuardedGroup, In, Out

app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From a written policy to a phone-ready model, and the proof of how well it does. Start with: dvc repro",
)


@app.command()
def prompts(
    policy: In = Path("policies/helmet.yaml"),
    out: Out = Path("data/prompts.jsonl"),
    metrics: Out = Path("metrics/prompts.json"),
) -> None:
    """Draw prompts from a policy: stratified, plausible, with counterfactual pairs."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.storage import write_json, write_rows
    from pipeline.prompts import stage

    result = stage.run(load_params().prompts, load_policy(policy))
    write_rows(out, result.prompts)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "prompts", result.machine)


@app.command()
def generate(
    prompts: In = Path("data/prompts.jsonl"),
    policy: In = Path("policies/helmet.yaml"),
    out: Out = Path("data/images"),
    metrics: Out = Path("metrics/generate.json"),
) -> None:
    """Make an image of each prompt (or pack photographs); goes on where a stopped run ended."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.records import Prompt
    from pipeline.data.storage import read_rows, write_json
    from pipeline.generate import stage

    params = load_params()
    if params.dataset.source == "photos":
        labels = list(load_policy(policy).labels)
        result = stage.run_photos(params.dataset, labels, params.generate.images_per_shard, out)
    else:
        result = stage.run(params.generate, read_rows(prompts, Prompt), out, policy.stem)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "generate", result.machine)


@app.command()
def curate(
    images: In = Path("data/images"),
    policy: In = Path("policies/helmet.yaml"),
    kept: Out = Path("data/kept.jsonl"),
    rejected: Out = Path("data/rejected.jsonl"),
    metrics: Out = Path("metrics/curate.json"),
    sheets: Out = Path("report/curation"),
    decisions: In = Path("data/decisions.jsonl"),
) -> None:
    """Put aside what is broken, doubled or mislabelled; each with its reason and score."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.curate import stage
    from pipeline.curate.contact_sheets import write_sheets
    from pipeline.curate.manual_decisions import read_decisions
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.shards import read_index
    from pipeline.data.storage import write_json, write_rows

    params = load_params().curate
    sources = stage.Sources(images, kept.with_name("curate.work"), read_decisions(decisions))
    result = stage.run(params, read_index(images), sources, load_policy(policy))
    write_rows(kept, result.kept)
    write_rows(rejected, result.rejected)
    write_sheets(params, result, images, sheets)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "curate", result.machine)


@app.command()
def split(
    kept: In = Path("data/kept.jsonl"),
    train: Out = Path("data/train.jsonl"),
    val: Out = Path("data/val.jsonl"),
) -> None:
    """Hold scenes out for validation; no scene stands on both sides."""
    from pipeline import split as stage
    from pipeline.config.params import load_params
    from pipeline.data.records import Image
    from pipeline.data.storage import read_rows, write_rows

    result = stage.run(load_params().split, read_rows(kept, Image))
    write_rows(train, result.train)
    write_rows(val, result.val)


@app.command()
def train(
    train: In = Path("data/train.jsonl"),
    val: In = Path("data/val.jsonl"),
    images: In = Path("data/images"),
    policy: In = Path("policies/helmet.yaml"),
    out: Out = Path("models/checkpoint"),
    metrics: Out = Path("metrics/train.json"),
    plot: Out = Path("plots/train.csv"),
) -> None:
    """Train the backbone; goes on after the last whole epoch of a stopped run."""
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.records import Image
    from pipeline.data.storage import read_rows, write_json, write_table
    from pipeline.metrics.decision_threshold import average_costs
    from pipeline.train import stage

    checked, judges = load_policy(policy), read_rows(val, Image)
    rows = stage.TrainRows(read_rows(train, Image), judges, images, average_costs(checked, judges))
    result = stage.run(load_params().train, list(checked.labels), rows, out)
    write_table(plot, result.curve)
    write_json(metrics, result.metrics)
    record_machine_figures(metrics.with_name(MACHINE_JSON), "train", result.machine)


@app.command()
def selfies(policy: In = Path("policies/helmet.yaml"), out: Out = Path("data/selfies")) -> None:
    """Make the portrait selfies that models are measured on; training never sees them."""
    from benchmarks import selfies as stage
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.photo_folder import read_photographs

    params, checked = load_params(), load_policy(policy)
    if params.selfies.source == "photos":
        folder = stage.folder_of(params.selfies)
        source: stage.Source = read_photographs(folder, list(checked.labels), params.selfies.part, params.dataset.seed)
    else:
        source = stage.draw_scenes(params.selfies, checked)
    stage.run(params.selfies, source, out)


@app.command()
def convert(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="coreml, tflite or onnx")],
    checkpoint: In = Path("models/checkpoint"),
    train: In = Path("data/train.jsonl"),
    val: In = Path("data/val.jsonl"),
    images: In = Path("data/images"),
    policy: In = Path("policies/helmet.yaml"),
    out: Annotated[Path, typer.Argument(help="write: OUT/FORMAT/")] = Path("artifacts"),
    metrics: Annotated[Path, typer.Argument(help="write: METRICS/convert-FORMAT.json")] = Path("metrics"),
) -> None:
    """Export the checkpoint to one format, every recipe of it, and compare each with the checkpoint."""
    from export import convert as stage
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.machine_figures import MACHINE_JSON, record_machine_figures
    from pipeline.data.records import Image
    from pipeline.data.storage import read_rows, write_json
    from pipeline.metrics.decision_threshold import average_costs
    from pipeline.train.model import load_checkpoint

    params, checked, judges = load_params().convert, load_policy(policy), read_rows(val, Image)
    costs = average_costs(checked, judges, params.retake_cost)
    rows = stage.ConvertRows(images, read_rows(train, Image), judges, checked.question, costs)
    result = stage.run(params, format_name, load_checkpoint(checkpoint), rows, out / format_name)
    write_json(metrics / f"convert-{format_name}.json", result.metrics)
    record_machine_figures(metrics / MACHINE_JSON, f"convert-{format_name}", result.machine)


@app.command()
def measure(
    artifacts: In = Path("artifacts"),
    checkpoint: In = Path("models/checkpoint"),
    selfies: In = Path("data/selfies"),
    policy: In = Path("policies/helmet.yaml"),
    metrics: Out = Path("metrics/measure.json"),
    predictions: Out = Path("data/predictions.parquet"),
    plots: Annotated[Path, typer.Argument(help="write: PLOTS/*.csv")] = Path("plots"),
) -> None:
    """Measure every artifact on the selfies: accuracy, slices, latency, memory, size."""
    from benchmarks import measure as stage
    from benchmarks.evaluation.inference import Subject, read_artifacts, read_reference
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.shards import read_index

    params, rows = load_params(), read_index(selfies)
    facts = stage.policy_facts(load_policy(policy), params.gate.slice_pairs)
    subject = Subject(read_reference(checkpoint), read_artifacts(artifacts), selfies, rows, facts)
    stage.write(stage.run(params.measure, subject), metrics, predictions, plots)


@app.command()
def gate(
    measured: In = Path("metrics/measure.json"),
    predictions: In = Path("data/predictions.parquet"),
    baseline: In = Path("benchmarks/baseline"),
    out: Out = Path("metrics/gate.json"),
    artifacts: In = Path("artifacts"),
    selfies: In = Path("data/selfies"),
    fetched: In = Path("data/baseline"),
) -> None:
    """Judge the measurements, against floors and the accepted baseline; `gossamer release` obeys the verdict."""
    from benchmarks.evaluation.predictions import read_predictions
    from benchmarks.gate import stage
    from benchmarks.gate.baseline import read_baseline
    from benchmarks.gate.baseline_latency import Places, open_bench
    from pipeline.config.params import load_params
    from pipeline.data.storage import read_metrics, write_json

    params, figures, accepted = load_params().gate, read_metrics(measured), read_baseline(baseline)
    bench = open_bench(params.latency, figures, accepted, Places(artifacts, selfies, fetched))
    write_json(out, stage.run(params, figures, read_predictions(predictions), accepted, bench))


@app.command()
def report(
    policy: In = Path("policies/helmet.yaml"),
    page: Out = Path("report/index.html"),
    summary: Out = Path("report/summary.md"),
) -> None:
    """Put all of it on one page, and the gist in a comment."""
    from benchmarks.report import stage
    from benchmarks.report.inputs import ReportPaths, read_report_input
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy

    checked = load_policy(policy)
    found = read_report_input(ReportPaths(), checked.name, checked.question)
    stage.write(stage.run(load_params().report, found), page, summary)


app.add_typer(cli_commands.app)  # last, so that help shows the chain first

if __name__ == "__main__":
    app()
