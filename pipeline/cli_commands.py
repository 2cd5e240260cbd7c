"""Commands of `gossamer` that are not stages: policies, the baseline, releases, benchmarks and manual review.

``pipeline.cli`` adds them to its app. A command imports what it needs when it runs, so that ``gossamer --help`` is
instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_arguments import (
    POLICIES,
    ArtifactFolder,
    BaselineFolder,
    BenchmarkName,
    ImageFolder,
    KeptRows,
    MeasurementFile,
    PolicyFile,
    PredictionTable,
    RejectedRows,
    SelfieFolder,
    VerdictFile,
    reads,
    writes,
)
from pipeline.cli_errors import print_note

app = typer.Typer()
policy_app = typer.Typer(no_args_is_help=True, help="Check a policy.")
baseline_app = typer.Typer(no_args_is_help=True, help="Accept or fetch the release that candidates are compared with.")
app.add_typer(policy_app, name="policy")
app.add_typer(baseline_app, name="baseline")


@policy_app.command("check")
def check_policy(
    policy: PolicyFile = POLICIES,
    samples: Annotated[int, typer.Option(help="number of captions to print")] = 4,
) -> None:
    """Check a policy against the chosen generator, verifier and renderer; print some of the captions it allows."""
    from pipeline.config.params import PARAMS, load_params
    from pipeline.config.policy import load_policy
    from pipeline.config.policy_check import check_policy as check
    from pipeline.prompts.prompt_sampler import draw_prompts, space_size

    checked = load_policy(policy)
    drawn = draw_prompts(checked, samples, 1, seed=0)
    print(f"{policy}: {checked.question} {' / '.join(checked.labels)}; {space_size(checked):,} captions")
    for prompt in drawn:
        print(f"  {prompt.label}: {prompt.text}")
    if PARAMS.is_file():
        check(load_params(), checked, str(policy), print)
    else:
        print(f"{PARAMS}: missing, so no generator, verifier or renderer was checked")


@app.command()
def fingerprint(
    out: Annotated[Path, writes("folder of fingerprints, OUT/STAGE.json")] = Path("data/external"),
) -> None:
    """Hash photographs, weights and models that params.yaml names, so that dvc repro sees when they change."""
    from pipeline.config.external_files import STAGES, named_paths
    from pipeline.config.params import load_params
    from pipeline.data.file_fingerprint import HASHES, HashCache, update_fingerprints

    params, cache = load_params(), HashCache.open(out.with_name(f"{out.name}.work") / HASHES)
    for stage in STAGES:
        for kept in update_fingerprints(out / f"{stage}.json", named_paths(params, stage), cache):
            print_note(f"params.yaml {kept.key}: {kept.path} is not here; {stage} counts it as unchanged")
    cache.save()


@baseline_app.command("accept")
def accept_baseline(
    measured: MeasurementFile = Path("metrics/measure.json"),
    predictions: PredictionTable = Path("data/predictions.parquet"),
    baseline: Annotated[Path, writes("folder of the accepted baseline")] = Path("benchmarks/baseline"),
    policy: PolicyFile = POLICIES,
    release: Annotated[str, typer.Option(help="tag or commit whose dvc.lock has these artifacts")] = "HEAD",
) -> None:
    """Accept the current measurements as the baseline of later candidates; commit the folder afterwards."""
    from benchmarks.evaluation.label_verification import CURATE_JSON, read_label_verification
    from benchmarks.evaluation.measurement import read_measurement
    from benchmarks.gate import stage
    from benchmarks.gate.baseline import read_baseline
    from benchmarks.gate.baseline_artifacts import find_release
    from benchmarks.gate.provenance import RunPaths, read_run, refuse_mismatches, require_measured
    from benchmarks.gate.resource_bench import Places, open_bench
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy

    params, source = load_params(), find_release(Path.cwd(), release)
    run = read_run(RunPaths(measurement=measured, predictions=predictions, baseline=baseline)).without_verdict()
    require_measured(run)
    refuse_mismatches(run, load_policy(policy), params)
    bench = open_bench(params.gate.latency, read_measurement(measured), read_baseline(baseline), Places())
    labels = read_label_verification(measured.with_name(CURATE_JSON))
    verdict = stage.accept(params.gate, stage.Candidate(measured, predictions, bench, source, labels), baseline)
    print(f"{baseline}: {source.name} accepted ({verdict.verdict}); commit it, then run: dvc repro")


@baseline_app.command("fetch")
def fetch_baseline(
    baseline: BaselineFolder = Path("benchmarks/baseline"),
    out: Annotated[Path, writes("folder of the baseline's artifacts")] = Path("data/baseline"),
) -> None:
    """Fetch the baseline's artifacts from DVC's cache or remote, so that the gate can time them on this machine."""
    from benchmarks.gate.baseline import read_baseline
    from benchmarks.gate.baseline_artifacts import fetch
    from pipeline.errors import DataError

    accepted = read_baseline(baseline)
    if accepted is None:
        raise DataError(f"{baseline}: no accepted baseline; expected one; run: gossamer baseline accept")
    fetched = fetch(Path.cwd(), accepted.accepted, out)
    print(f"{out}: fetched {fetched} artifacts of {accepted.name()}; next, run: dvc repro gate")


@app.command()
def release(
    version: Annotated[str, typer.Argument(help="version of the release, e.g. 1.4.0")] = "0.1.0",
    policy: PolicyFile = POLICIES,
    verdict: VerdictFile = Path("metrics/gate.json"),
    measured: MeasurementFile = Path("metrics/measure.json"),
    artifacts: ArtifactFolder = Path("artifacts"),
    selfies: SelfieFolder = Path("data/selfies"),
    out: Annotated[Path, writes("parent of the bundle, OUT/NAME-VERSION/")] = Path("release"),
    predictions: PredictionTable = Path("data/predictions.parquet"),
    baseline: BaselineFolder = Path("benchmarks/baseline"),
) -> None:
    """Build the bundle for the mobile team if the verdict is a pass; else print the reasons and exit with 1.

    Policy, params, artifacts, selfies, predictions, measurement, baseline
    and verdict must be of one run; files of different runs are refused.
    """
    from benchmarks.evaluation.machine_figures import read_measured_machine
    from benchmarks.evaluation.selfie_sets import golden_folder
    from benchmarks.gate.provenance import RunPaths, complete_run, read_run
    from benchmarks.gate.stage import refuse_unless_pass
    from export.bundle.bundle import build, gather
    from export.bundle.card_figures import CardFigures
    from export.bundle.contract import check_version
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy
    from pipeline.data.machine_figures import MACHINE_JSON

    check_version(version)
    checked, paths = load_policy(policy), RunPaths(artifacts, selfies, measured, predictions, baseline, verdict)
    run = complete_run(read_run(paths), checked, load_params())
    refuse_unless_pass(run.verdict)
    timings = read_measured_machine(measured.with_name(MACHINE_JSON), run.measurement).artifacts
    figures = CardFigures(run.measurement, timings, run.verdict.verdict, run.training, run.generation)
    golden = golden_folder(selfies, run.measurement.headline)
    bundle = build(gather(checked, version, artifacts, golden, figures), out)
    print(f"{bundle.path}: built; every check passed; digest sha256:{bundle.digest}")
    print(f"to check it, wherever it is: gossamer verify {bundle.path} --digest {bundle.digest}")


@app.command("verdict")
def show_verdict(
    verdict: VerdictFile = Path("metrics/gate.json"),
    allow_unmeasured: Annotated[
        bool, typer.Option("--allow-unmeasured", help="exit with 0 if no check failed but some are unmeasured")
    ] = False,
    policy: PolicyFile = POLICIES,
    measured: MeasurementFile = Path("metrics/measure.json"),
) -> None:
    """Print the verdict of the gate, and exit with 1 unless it is a pass on the files that lie here."""
    from benchmarks.gate.machine_figures import read_verdict
    from benchmarks.gate.provenance import RunPaths, read_run, refuse_mismatches
    from benchmarks.gate.stage import refuse_unless_pass
    from benchmarks.gate.verdict_text import describe_verdict, only_unmeasured
    from pipeline.config.params import load_params
    from pipeline.config.policy import load_policy

    record = read_verdict(verdict)
    refuse_mismatches(read_run(RunPaths(measurement=measured, verdict=verdict)), load_policy(policy), load_params())
    if not (allow_unmeasured and only_unmeasured(record)):
        refuse_unless_pass(record)
    print(describe_verdict(record))


@app.command()
def verify(
    bundle: Annotated[Path, reads("bundle, release/NAME-VERSION")],
    digest: Annotated[str | None, typer.Option(help="digest that gossamer release printed for the bundle")] = None,
) -> None:
    """Check a pulled bundle: every file, the contract, and the outputs of every artifact on its golden images.

    The digest stands for the whole bundle: compare it with the one that
    gossamer release printed, or pass it. Exits with 1 if anything is wrong.
    """
    from export.bundle.verify import verify as check
    from pipeline.errors import ReleaseRefusedError

    found = check(bundle, digest)
    if found.findings:
        raise ReleaseRefusedError("\n".join(f"{bundle}/{finding}" for finding in found.findings))
    for name, reason in found.not_run:
        print(f"{name}: not run: {reason}")
    if not found.run:
        raise ReleaseRefusedError(
            f"{bundle}: files, contract and metadata agree, but no artifact could be run here; expected a runtime: "
            "pip install 'gossamer[verify]'"
        )
    print(f"{bundle}: complete; digest sha256:{found.digest}")
    outcome = "each gives the expected outputs on the golden images"
    print(f"ran {len(found.run)} of {len(found.run) + len(found.not_run)} artifacts: {outcome}")


@app.command()
def parity(
    reference: Annotated[Path, reads("artifact to compare with")],
    artifact: Annotated[Path, reads("artifact to examine")],
    images: ImageFolder = Path("data/selfies"),
    count: Annotated[int, typer.Option(help="number of images to compare on")] = 64,
    layers: Annotated[
        bool, typer.Option("--layers", help="signal-to-noise ratio of every tensor; both artifacts of one format")
    ] = False,
) -> None:
    """Compare two artifacts on the same images, and optionally layer by layer, to locate a loss of precision.

    Example: gossamer parity artifacts/onnx/float32.onnx
    artifacts/onnx/static_wi8_ai8.onnx --layers
    """
    from export.artifact_comparison.compare import compare_artifacts, show

    show(compare_artifacts(reference, artifact, images, count, layers=layers))


@app.command()
def clean() -> None:
    """Remove the outputs of the stages that dvc checkout restores, and the work areas; name the outputs that stay."""
    from pipeline.data.finished_work import remove_outputs

    removal = remove_outputs(Path.cwd(), ("report/run.json", "report/index.html", "report/summary.md"))
    print("removed: " + (", ".join(removal.removed) or "nothing"))
    for name, reason in removal.kept.items():
        print(f"kept: {name}: {reason}; if you do not need it, delete it yourself")


@app.command()
def benchmark(
    name: BenchmarkName = "",
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change a parameter of the benchmark")
    ] = None,
    results: Annotated[Path, writes("parent of the figures, RESULTS/NAME.json")] = Path("benchmarks/results"),
    work: Annotated[Path, writes("work folder, from which an interrupted run resumes")] = Path("data/benchmark.work"),
) -> None:
    """Run a benchmark of Gossamer itself and write its figures; commit the file afterwards."""
    from benchmarks import experiments

    if not name:
        print(experiments.listing())
        return
    path = experiments.run_benchmark(name, changes or [], results, work)
    print(f"{path}: written; commit it, then run: dvc repro report")


@app.command()
def review(
    images: ImageFolder = Path("data/images"),
    kept: KeptRows = Path("data/kept.jsonl"),
    rejected: RejectedRows = Path("data/rejected.jsonl"),
    decisions: Annotated[Path, writes("manual decisions, JSON lines to append to")] = Path("data/decisions.jsonl"),
    port: Annotated[int, typer.Option(help="port on 127.0.0.1; 0 takes any free one")] = 0,
    show: Annotated[bool, typer.Option("--open", help="open the page in the browser")] = False,
) -> None:
    """Serve a local page to review what curation rejected and kept, and to overrule it.

    Prints the address of the page; on the page, ? lists the keys.
    Every decision is written to disk at once, in a file that git
    tracks; the next curate applies it. Labels never change.
    Ctrl-C stops the server; then run: dvc repro curate
    """
    import webbrowser

    from pipeline.curate.review_app.server import serve
    from pipeline.curate.review_app.session import ReviewPaths, open_session

    def announce(url: str) -> None:
        print(f"review: {url}\nCtrl-C stops it", flush=True)
        if show:
            webbrowser.open(url)

    made = serve(open_session(ReviewPaths(images, kept, rejected, decisions)), port, announce)
    if made:
        print(f"\n{made} decision{'s' * (made > 1)} written to {decisions}; run: dvc repro curate")
    else:
        print(f"\nno decisions made; {decisions} is unchanged")
