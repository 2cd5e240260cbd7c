"""The roof's other half: the commands that are no stages. ``pipeline.cli`` puts them into the one app, ``gossamer``.

What a command needs is imported when it runs: ``gossamer --help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli_errors import In, Out

app = typer.Typer()
policy_app = typer.Typer(no_args_is_help=True, help="Look at a policy.")
baseline_app = typer.Typer(no_args_is_help=True, help="The release that candidates are compared with.")
app.add_typer(policy_app, name="policy")
app.add_typer(baseline_app, name="baseline")


@policy_app.command("check")
def check_policy(policy: In = Path("policies/helmet.yaml"), samples: int = 4) -> None:
    """Check a policy, count its prompt space and show some of its captions."""
    from pipeline.config.policy import load_policy
    from pipeline.prompts.prompt_sampler import draw_prompts, space_size

    checked = load_policy(policy)
    drawn = draw_prompts(checked, samples, 1, seed=0)
    print(f"{policy}: {checked.question} {' / '.join(checked.labels)}; {space_size(checked):,} captions")
    for prompt in drawn:
        print(f"  {prompt.label}: {prompt.text}")


@baseline_app.command("accept")
def accept_baseline(
    measured: In = Path("metrics/measure.json"),
    predictions: In = Path("data/predictions.parquet"),
    baseline: Out = Path("benchmarks/baseline"),
    release: Annotated[str, typer.Option(help="tag or commit that has these artifacts in its dvc.lock")] = "HEAD",
) -> None:
    """Make the current measurements what later candidates are compared with; commit the folder afterwards."""
    from benchmarks.gate import stage
    from benchmarks.gate.baseline import read_baseline
    from benchmarks.gate.baseline_artifacts import find_release
    from benchmarks.gate.baseline_latency import Places, open_bench
    from pipeline.config.params import load_params
    from pipeline.data.storage import read_metrics

    params, source = load_params().gate, find_release(Path.cwd(), release)
    bench = open_bench(params.latency, read_metrics(measured), read_baseline(baseline), Places())
    verdict = stage.accept(params, stage.Candidate(measured, predictions, bench, source), baseline)
    print(f"{baseline}: {source.name} accepted ({verdict.verdict}); commit it, then: dvc repro")


@baseline_app.command("fetch")
def fetch_baseline(
    baseline: In = Path("benchmarks/baseline"),
    out: Out = Path("data/baseline"),
) -> None:
    """Fetch the accepted artifacts from DVC's cache or remote, so that the gate can time them on this machine."""
    from benchmarks.gate.baseline import read_baseline
    from benchmarks.gate.baseline_artifacts import fetch
    from pipeline.errors import DataError

    accepted = read_baseline(baseline)
    if accepted is None:
        raise DataError(f"{baseline}: no baseline was accepted yet; run gossamer baseline accept")
    print(f"{out}: {fetch(Path.cwd(), accepted.accepted, out)} artifacts of {accepted.name()}; then: dvc repro gate")


@app.command()
def release(
    version: Annotated[str, typer.Argument(help="of this release, e.g. 1.4.0")] = "0.1.0",
    policy: In = Path("policies/helmet.yaml"),
    verdict: In = Path("metrics/gate.json"),
    artifacts: In = Path("artifacts"),
    selfies: In = Path("data/selfies"),
    out: Out = Path("release"),
) -> None:
    """Build the bundle for the mobile team if the verdict is a pass; otherwise say why not and exit with 1."""
    from benchmarks.gate.stage import refuse_unless_pass
    from export.bundle.bundle import build, gather
    from pipeline.config.policy import load_policy
    from pipeline.data.records import Verdict
    from pipeline.data.storage import read_json

    refuse_unless_pass(read_json(verdict, Verdict))
    content = gather(load_policy(policy), version, artifacts, selfies, verdict.parent)
    print(f"{build(content, out)}: passed on every check; try: gossamer verify")


@app.command("verdict")
def tell_verdict(
    verdict: In = Path("metrics/gate.json"),
    allow_unmeasured: Annotated[
        bool, typer.Option("--allow-unmeasured", help="exit with 0 where nothing failed and something is unmeasured")
    ] = False,
) -> None:
    """Say what the gate decided, and exit with 1 unless it is a pass."""
    from benchmarks.gate.stage import refuse_unless_pass
    from benchmarks.report.pr_comment import only_unmeasured, verdict_text
    from pipeline.data.records import Verdict
    from pipeline.data.storage import read_json

    found = read_json(verdict, Verdict)
    if not (allow_unmeasured and only_unmeasured(found)):
        refuse_unless_pass(found)
    print(verdict_text(found))


@app.command()
def verify(bundle: In) -> None:
    """Check a bundle that was pulled: checksums first, then its golden images through every artifact."""
    from export.bundle.bundle import verify as check
    from pipeline.errors import ReleaseRefusedError

    findings = check(bundle)
    if findings:
        raise ReleaseRefusedError("\n".join(f"{bundle}/{finding.file}: {finding.problem}" for finding in findings))
    print(f"{bundle}: whole, and every artifact answers as it should")


@app.command()
def parity(
    reference: In,
    artifact: In,
    images: In = Path("data/selfies"),
    count: Annotated[int, typer.Option(help="images to compare on")] = 64,
    layers: Annotated[bool, typer.Option("--layers", help="each tensor's signal-to-noise; one format only")] = False,
) -> None:
    """Compare two artifacts on the same images, so that a loss of precision has an address.

    Example: gossamer parity artifacts/onnx/float32.onnx
    artifacts/onnx/static_wi8_ai8.onnx --layers
    """
    from export.artifact_comparison.compare import compare_artifacts, show

    show(compare_artifacts(reference, artifact, images, count, layers=layers))


@app.command()
def doctor() -> None:
    """Say what this machine can do."""
    from pipeline.machine.doctor import examine, show

    show(examine(Path.cwd()))


@app.command()
def benchmark(
    name: Annotated[str, typer.Argument(help="a benchmark; leave it out to see which there are")] = "",
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="of the benchmark")] = None,
    results: Annotated[Path, typer.Argument(help="write: RESULTS/NAME.json")] = Path("benchmarks/results"),
    work: Annotated[Path, typer.Argument(help="keeps what is finished")] = Path("data/benchmark.work"),
) -> None:
    """Measure Gossamer itself: run a benchmark and write its figures, to be committed."""
    from benchmarks import experiments

    if not name:
        print(experiments.listing())
        return
    path = experiments.measure(name, changes or [], results, work / name)
    print(f"{path}: written; commit it, then: dvc repro report")


@app.command()
def review(
    images: In = Path("data/images"),
    kept: In = Path("data/kept.jsonl"),
    rejected: In = Path("data/rejected.jsonl"),
    decisions: Annotated[Path, typer.Argument(help="append")] = Path("data/decisions.jsonl"),
    port: Annotated[int, typer.Option(help="of 127.0.0.1; 0: any free one")] = 0,
    show: Annotated[bool, typer.Option("--open", help="open the page in the browser")] = False,
) -> None:
    """Look at what curation doubts, and keep or drop it: a page on this machine alone.

    Prints the page's address; on the page, ? shows the keys.
    Once a picture is marked, its decision is on disk, in a file that git
    keeps, and curation obeys it. Labels never change.
    Ctrl-C ends the sitting; then: dvc repro curate
    """
    import webbrowser

    from pipeline.curate.review_app.server import serve
    from pipeline.curate.review_app.session import DeskPaths, open_desk

    def announce(url: str) -> None:
        print(f"review: {url}\nCtrl-C ends it", flush=True)
        if show:
            webbrowser.open(url)

    made = serve(open_desk(DeskPaths(images, kept, rejected, decisions)), port, announce)
    if made:
        print(f"\n{made} decision{'s' * (made > 1)} written to {decisions}; run: dvc repro curate")
    else:
        print(f"\nno decisions made; {decisions} is as it was")
