"""What strangers send is data: the workflows run none of it, and give it no right to write."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[1] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
JOBS = {f"{name}/{job}": content for name, flow in WORKFLOWS.items() for job, content in flow["jobs"].items()}
STEPS = [(name, step) for name, job in JOBS.items() for step in job["steps"]]
RUNS = [(name, step["run"]) for name, step in STEPS if "run" in step]
MARKER = "<!-- leaderboard report -->"

pytestmark = pytest.mark.skipif(not FILES, reason="the workflows are not beside the tests")


def _step(job: str, name: str) -> dict:
    return next(step for step in JOBS[job]["steps"] if step.get("name") == name)


def _triggers(name: str) -> dict:
    return WORKFLOWS[name][True]  # YAML 1.1 reads the key "on" as true


def test_all_workflows_are_looked_at():
    assert WORKFLOWS.keys() >= {"ci", "comment", "leaderboard"}
    assert sorted(path for path in FOLDER.rglob("*") if path.is_file()) == FILES


def test_every_job_ends_by_itself():
    assert [name for name, job in JOBS.items() if not isinstance(job.get("timeout-minutes"), int)] == []


def test_only_those_who_must_write_may():
    for name, flow in WORKFLOWS.items():
        assert flow.get("permissions") in ({}, {"contents": "read"}), name
    writes = {
        name: {right for right, value in job.get("permissions", {}).items() if value != "read"}
        for name, job in JOBS.items()
    }
    assert {name: what for name, what in writes.items() if what} == {
        "leaderboard/publish": {"pages", "id-token"},
        "comment/comment": {"pull-requests"},
    }
    assert JOBS["leaderboard/validate"]["permissions"] == {"contents": "read"}


def test_no_script_is_put_together_from_an_event():
    """Values go through the environment, whoever chose them."""
    assert [name for name, run in RUNS if "${{" in run] == []


def test_actions_are_pinned_and_checkouts_keep_no_token():
    uses = [(name, step["uses"], step.get("with", {})) for name, step in STEPS if "uses" in step]
    assert len(uses) > 10
    for name, action, options in uses:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action), (name, action)
        if action.startswith("actions/checkout@"):
            assert options["persist-credentials"] is False, name


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_secrets_and_no_rights_for_pull_requests(name):
    text = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "pull_request_target" not in text


def test_contributions_are_checked_out_as_data():
    assert _triggers("leaderboard").keys() == {"pull_request", "push", "workflow_dispatch"}
    contribution, base = (
        step["with"] for step in JOBS["leaderboard/validate"]["steps"] if "checkout@" in step.get("uses", "")
    )
    assert contribution["path"] == "contribution"
    assert (contribution["sparse-checkout"], contribution["sparse-checkout-cone-mode"]) == ("/leaderboard/", False)
    assert base["path"] == "base"
    assert base["ref"] == "${{ steps.base.outputs.sha }}"
    found = _step("leaderboard/validate", "Find what it would go into")["run"]
    assert 'echo "sha=$(git -C contribution rev-parse HEAD^1)"' in found


def test_a_contribution_is_checked_wherever_it_stands_in_the_diff():
    """GitHub's filter by paths sees the first 300 files; and a pull request without one costs no installation."""
    assert not _triggers("leaderboard")["pull_request"]
    steps = JOBS["leaderboard/validate"]["steps"]
    first = next(number for number, step in enumerate(steps) if step.get("id") == "base")
    assert all("steps.base.outputs.touched" in step["if"] for step in steps[first + 1 :])


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("bash") is None or shutil.which("git") is None, reason="no bash, or no git")
@pytest.mark.parametrize("name", ["leaderboard/x", "leaderboard", "Leaderboard/x", "aaa/leaderboard/x"])
def test_a_contribution_is_found(tmp_path, name):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, "-C", str(tmp_path / "contribution"), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "contribution" / "leaderboard").mkdir(parents=True)
    git("init", "-q", "-b", "main")
    (tmp_path / "contribution" / "leaderboard" / "y").touch()
    git("add", "-A")
    git("commit", "-qm", "base")
    git("checkout", "-qb", "pull")
    place = tmp_path / "contribution" / name
    if name == "leaderboard":
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("x")
    git("add", "-A")
    git("commit", "-qm", "pull")
    head = git("rev-parse", "HEAD")
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-ff", "--no-edit", "pull")
    environment = _environment(
        tmp_path, HEAD=head, NUMBER="7", RUNNER_TEMP=str(tmp_path), GITHUB_OUTPUT=str(tmp_path / "out")
    )
    run = ["bash", "-e", "-c", _step("leaderboard/validate", "Find what it would go into")["run"]]
    subprocess.run(run, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert ("touched=true" in (tmp_path / "out").read_text()) is name.startswith("leaderboard")


def test_nothing_of_a_contribution_is_installed_or_run():
    lines = [line for name, run in RUNS if name.startswith("leaderboard/") for line in run.splitlines()]
    installed = [shlex.split(line) for line in lines if re.search(r"\b(pip|uv|npm|tox|conda|hatch)\b", line)]
    assert len(installed) == 2
    for words in installed:
        assert words[:4] == ["python", "-m", "pip", "install"]
        assert all(word == "-c" or word.startswith(("base/", "./base[")) for word in words[4:]), words
    # of the contribution, git tells, and a path goes to the commands of the base
    for line in filter(lambda line: "contribution" in line, lines):
        found = re.sub(r"git -C contribution (rev-parse|diff-tree)\b|\$GITHUB_WORKSPACE/contribution/\|\|g", "", line)
        assert "contribution" not in found, line
    for line in filter(lambda line: "$TREE" in line, lines):
        assert re.match(r"\s*xglue-harness leaderboard (validate|show|build)\b", line), line
    for name, step in STEPS:
        assert re.fullmatch(r"|\$\{\{ runner\.temp \}\}(/report)?", step.get("working-directory", "")), name
        assert not step.get("uses", "").startswith("."), name


def test_the_one_that_writes_checks_nothing_out():
    assert _triggers("comment") == {"workflow_run": {"workflows": ["leaderboard"], "types": ["completed"]}}
    assert WORKFLOWS["leaderboard"]["name"] == "leaderboard"
    assert [step for step in JOBS["comment/comment"]["steps"] if "uses" in step] == []
    assert JOBS["comment/comment"]["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert [step for step in JOBS["leaderboard/publish"]["steps"] if "run" in step] == []


def _command(folder: Path, name: str, code: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    (folder / name).chmod(0o755)


def _environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """That of a step, where commands of the test come first."""
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), **more}


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(("code", "valid"), [(0, True), (2, False)])
def test_a_refusal_is_reported_and_fails(tmp_path, code, valid):
    said = "::add-mask::x\n/w/contribution/leaderboard: 1 problem\n- a\r# b\x1b\x0b naïve"
    _command(tmp_path / "bin", "xglue-harness", f"import sys\nprint({said!r}, file=sys.stderr)\nsys.exit({code})")
    (tmp_path / "report").mkdir()
    done = subprocess.run(
        ["bash", "-e", "-c", _step("leaderboard/validate", "Validate")["run"]],
        cwd=tmp_path / "report",
        env=_environment(tmp_path, TREE="t", BASE="b", GITHUB_WORKSPACE="/w"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "add-mask" not in done.stdout + done.stderr
    comment = tmp_path / "report" / "comment.md"
    assert comment.exists() is not valid
    if not valid:
        ending = "\n\n    ::add-mask::x\n    leaderboard: 1 problem\n    - a?# b?? naïve\n"
        assert comment.read_bytes().decode().endswith(ending)
        assert (tmp_path / "summary").read_text() == comment.read_text()


HEAD = {"repo": {"full_name": "them/fork"}, "ref": "mine", "sha": "a" * 40}

GH = """
import json, sys
from pathlib import Path
*options, last = [word for word in sys.argv[2:] if word not in ("--paginate", "--slurp")]
if "--input" in sys.argv:
    Path("sent.json").write_text(json.dumps([sys.argv[2:], json.loads(Path(last).read_text())]))
else:
    sys.stdout.buffer.write((Path("answers") / last.replace("/", ".").replace("?", ".")).read_bytes())
"""


def _comment(tmp_path, *, number="7\n", comment=b"said", head=None, state="open", before=(), size=500):
    """Run the script that comments, on a report and a GitHub that answers from files."""
    _command(tmp_path / "bin", "gh", GH)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("number", number)
        file.writestr("../comment.md", b"elsewhere")
        if comment is not None:
            file.writestr("comment.md", comment)
    artifacts = {"artifacts": [{"id": 5, "expired": False, "size_in_bytes": size}]}
    answers = {
        "actions.runs.3.artifacts.name=report": artifacts,
        "actions.artifacts.5.zip": archive.getvalue(),
        "pulls.7": {"state": state, "head": HEAD | (head or {})},
        "issues.7.comments.per_page=100": [list(before)],
    }
    (tmp_path / "answers").mkdir()
    for name, answer in answers.items():
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        (tmp_path / "answers" / f"repos.we.us.{name}").write_bytes(content)
    event = {"REPOSITORY": "we/us", "RUN": "3", "RUN_URL": "https://run"}
    ours = {"HEAD_REPOSITORY": "them/fork", "HEAD_BRANCH": "mine", "HEAD_SHA": "a" * 40}
    done = subprocess.run(
        [sys.executable, "-c", JOBS["comment/comment"]["steps"][0]["run"]],
        cwd=tmp_path,
        env=_environment(tmp_path, **event, **ours),
        capture_output=True,
        text=True,
        check=False,
    )
    sent = tmp_path / "sent.json"
    return done, json.loads(sent.read_text()) if sent.exists() else None


@pytest.mark.processes
def test_a_report_becomes_one_comment(tmp_path):
    done, sent = _comment(tmp_path, comment="    a\r# b\n| @someone | naïve |".encode() + b"\xff")
    assert done.returncode == 0, done.stderr
    assert sent[0][:3] == ["--method", "POST", "repos/we/us/issues/7/comments"]
    assert sent[1]["body"].startswith(f"{MARKER}\n")
    assert sent[1]["body"].endswith("\n\n    a?# b\n| @\u200bsomeone | naïve |\ufffd")


@pytest.mark.processes
def test_the_comment_is_replaced_not_one_of_others(tmp_path):
    theirs = {"id": 1, "user": {"login": "them"}, "body": f"{MARKER} forged"}
    other = {"id": 2, "user": {"login": "github-actions[bot]"}, "body": "of another workflow"}
    own = {"id": 3, "user": {"login": "github-actions[bot]"}, "body": f"{MARKER}\nold"}
    _, sent = _comment(tmp_path, before=[theirs, other, own])
    assert sent[0][:3] == ["--method", "PATCH", "repos/we/us/issues/comments/3"]


@pytest.mark.processes
@pytest.mark.parametrize("letter", ["x", "é", "@", "😀"])
def test_a_long_comment_is_cut(tmp_path, letter):
    _, sent = _comment(tmp_path, comment=(letter * 300_000).encode())
    assert sent[1]["body"].count(letter) == 60_000
    assert sent[1]["body"].endswith("(Cut: all of it is in the summary of that run.)")


@pytest.mark.processes
def test_a_report_without_a_comment_is_told(tmp_path):
    _, sent = _comment(tmp_path, comment=None)
    assert sent[1]["body"].endswith("did not come to a result.")


@pytest.mark.processes
@pytest.mark.parametrize("number", ["", "7 ", "7\n8", "-7", "1" * 11, "７", "7/../8", "7?x", "$(id)", "7;id"])
def test_a_forged_number_gets_no_comment(tmp_path, number):
    done, sent = _comment(tmp_path, number=number)
    assert (done.returncode, sent) == (1, None)
    assert "names no pull request" in done.stderr


@pytest.mark.processes
@pytest.mark.parametrize(
    "head", [{"sha": "b" * 40}, {"ref": "other"}, {"repo": {"full_name": "victim/fork"}}, {"repo": None}]
)
def test_the_pull_request_of_another_gets_no_comment(tmp_path, head):
    done, sent = _comment(tmp_path, head=head)
    assert (done.returncode, sent) == (0, None)
    assert "::notice::No comment" in done.stdout


@pytest.mark.processes
def test_closed_pull_requests_and_large_reports_get_no_comment(tmp_path):
    for name, options in (("closed", {"state": "closed"}), ("large", {"size": 2_000_000})):
        (tmp_path / name).mkdir()
        assert _comment(tmp_path / name, **options)[1] is None


@pytest.mark.processes
@pytest.mark.parametrize(("command", "options"), [("actionlint", []), ("zizmor", ["--offline", "--quiet"])])
def test_linters_find_nothing(command, options):
    program = shutil.which(command, path=str(Path(sys.executable).parent)) or shutil.which(command)
    if program is None:
        pytest.skip(f"no {command}: tox -e workflows has it")
    done = subprocess.run([program, *options, *map(str, FILES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
