"""Contract, Commands: exit codes 0 done, 1 failed, 2 wrong usage or settings; one sentence, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from stream import __main__ as command
from stream.__main__ import main
from stream.command_line import COMMANDS
from stream.commands.run import dry
from stream.model import SettingsError, StartError
from stream.settings import settings_of

ROOT = Path(__file__).parents[1]


def unpush(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def pretend(monkeypatch: pytest.MonkeyPatch, outcome: int | BaseException) -> None:
    """A command that ends so."""

    def run(args: object) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    command = ModuleType("stream.commands.run")
    command.__dict__.update(HELP="pretended", add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "stream.commands.run", command)


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (SettingsError("a.key = 1:\n it must be 2"), 2, "unpush: a.key = 1: it must be 2\n"),
        (StartError("no broker"), 1, "unpush: no broker\n"),
        (KeyboardInterrupt(), 1, "Interrupted.\n"),
    ],
)
def test_every_ending_has_its_exit_code_and_at_most_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: int | BaseException,
    code: int,
    said: str,
) -> None:
    pretend(monkeypatch, outcome)
    assert main(["run"]) == code
    assert capsys.readouterr().err == said


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["run"])


@pytest.mark.parametrize("arguments", [[], ["rnu"], ["topics"], ["topics", "-c"], ["topics", "-c", "x", "--nope"]])
def test_wrong_usage_is_exit_2_with_a_usage_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: unpush" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5"])
def test_a_partition_count_must_be_one_or_more(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["topics", "-c", "x", f"--partitions={number}"])
    assert caught.value.code == 2
    assert "--partitions" in capsys.readouterr().err


def test_help_names_every_command_and_imports_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in COMMANDS)
    heavy = "import sys; from stream.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    heavy += "print(sorted({'confluent_kafka', 'aiohttp', 'rich', 'structlog'} & set(sys.modules)))"
    listed = subprocess.run([sys.executable, "-c", heavy], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout.endswith("[]\n")


def test_the_version_is_said() -> None:
    said = unpush("--version")
    assert (said.returncode, said.stdout.startswith("unpush ")) == (0, True)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    if not (ROOT / "stream" / "commands" / f"{name}.py").exists():
        pytest.skip("still in work")
    said = unpush(name, "--help")
    assert (said.returncode, said.stderr) == (0, "")
    assert f"usage: unpush {name}" in said.stdout


def test_a_wrong_setting_is_exit_2_and_one_line(tmp_path: Path) -> None:
    file = tmp_path / "unpush.toml"
    file.write_text("[kafka]\nbootstrap = 'x'\n")
    said = unpush("topics", "-c", str(file))
    assert said.returncode == 2
    assert said.stderr == (
        'unpush: kafka.bootstrap = "x": there is no such key; did you mean kafka.bootstrap_servers?\n'
    )


_TALKS = """
import sys, types
from stream.__main__ import main
sys.modules["stream.commands.run"] = types.SimpleNamespace(
    HELP="", add_arguments=lambda parser: None, run=lambda args: print("x") or 0
)
sys.exit(main(["run"]))
"""


def test_a_reader_that_goes_away_is_no_reason_to_complain() -> None:
    """As in `unpush topics … | head -0`."""
    talks = subprocess.Popen(
        [sys.executable, "-c", _TALKS], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert talks.stdout is not None
    talks.stdout.close()
    assert (talks.communicate(timeout=30)[1], talks.returncode) == ("", 1)


_WORKS_ON = """
import pathlib, socket, sys, types
from stream.__main__ import main

def run(_):
    for _ in range(10_000):
        print("a line", flush=True)
    with socket.socket() as first:
        pathlib.Path(sys.argv[1]).write_text(str(first.fileno()))
    return 0

sys.modules["stream.commands.run"] = types.SimpleNamespace(HELP="", add_arguments=lambda parser: None, run=run)
sys.exit(main(["run"]))
"""


def test_output_that_cannot_be_written_stops_no_work_and_is_told_at_the_end(tmp_path: Path) -> None:
    """A full disk behind ``>``: one sentence, exit 1."""
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", _WORKS_ON, str(tmp_path / "mark")],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert (tmp_path / "mark").exists()
    assert (ended.returncode, ended.stderr) == (
        1, "unpush: the output could not be written: No space left on device\n",
    )  # fmt: skip


@pytest.mark.parametrize("closed", [range(1), range(1, 2), range(2, 3), range(3)])
def test_what_a_command_was_started_without_is_no_sockets_number(tmp_path: Path, closed: range) -> None:
    """As by ``>&-``: libuv aborts the process where a socket got 0, 1 or 2."""
    ended = subprocess.run(
        [sys.executable, "-c", _WORKS_ON, str(tmp_path / "mark")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.closerange(closed.start, closed.stop),
        check=False,
        timeout=60,
    )
    assert (ended.returncode, int((tmp_path / "mark").read_text()) > 2) == (0, True)


TOLD_WHILE_IMPORTING = """
import os, signal, sys, types, weakref
from stream.__main__ import main

class Held: pass

def told(_):
    held = Held()
    ref = weakref.ref(held, lambda _: os.kill(os.getpid(), getattr(signal, sys.argv[2])))
    del held
    print("went on")
    return 1

made = {"HELP": "", "add_arguments": lambda _: None, "run": lambda _: 1, sys.argv[3]: told}
sys.modules[f"stream.commands.{sys.argv[1]}"] = types.SimpleNamespace(**made)
sys.exit(main([sys.argv[1]]))
"""


@pytest.mark.parametrize(
    ("command", "told", "when", "code", "said"),
    [
        ("run", "SIGTERM", "run", 0, ""),
        ("run", "SIGINT", "run", 0, ""),
        ("check", "SIGINT", "add_arguments", 1, "Interrupted.\n"),
    ],
)
def test_a_signal_before_there_is_anything_to_drain_ends_the_start(
    command: str, told: str, when: str, code: int, said: str
) -> None:
    """Wherever the interpreter is: what is raised in a callback of its own, it ignores."""
    ended = subprocess.run(
        [sys.executable, "-c", TOLD_WHILE_IMPORTING, command, told, when],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", said)


def test_once_all_is_imported_an_interrupt_is_the_commands_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay, for one, says how far it came."""
    handlers: list[object] = []
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    monkeypatch.setattr(signal, "signal", lambda _, handler: handlers.append(handler))
    seen: list[object] = []

    def run(_: object) -> int:
        seen.extend(handlers)
        return 0

    pretended = ModuleType("stream.commands.check")
    pretended.__dict__.update(HELP="", add_arguments=lambda _: None, run=run)
    monkeypatch.setitem(sys.modules, "stream.commands.check", pretended)
    assert main(["check"]) == 0
    assert seen == [command._interrupted, signal.default_int_handler]
    with pytest.raises(SystemExit):
        main(["--help"])
    assert handlers[-1] is signal.default_int_handler, "and where none was run"


def test_the_table_of_commands_is_the_folder_of_commands() -> None:
    modules = {path.stem for path in (ROOT / "stream" / "commands").glob("*.py")} - {"__init__"}
    assert modules <= set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["topics", "-c", "x", "--partitions", "999999999999"], "'999999999999' is no whole number from 1 to 100,000"),
        (["topics", "-c", "x", "--replication-factor", "all"], "'all' is no whole number from 1 to 10,000"),
        (["bench", "--rounds", "many"], "'many' is no whole number of 1 or more"),
        (["inspect", "message", "m", "--at", "http://u:hunter2@h:1"], "(hidden)@h:1"),
        (["simulate", "--app", "a" * 300, "--make-keys", "keys"], "cannot be written"),
    ],
)
def test_a_wrong_argument_is_one_sentence_without_secrets(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """What is wrong with it, and what would be right."""
    try:
        code = main(arguments)
    except SystemExit as end:  # as argparse ends
        code = int(end.code or 0)
    told = capsys.readouterr().err
    assert code in (1, 2)
    assert said in told
    assert "Traceback" not in told
    assert "hunter2" not in told


def test_a_store_without_a_name_of_its_own_has_a_dry_runs_beside_it(tmp_path: Path) -> None:
    """``store.path = "."``: the folder itself has a name."""
    settings = dry(settings_of({"store": {"path": "."}}, tmp_path, {}))
    assert settings.store.path.name.endswith("-dry-run")


def test_a_wrong_key_file_is_told_before_any_broker_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2: wrong settings; whoever has both wrong need not wait for the broker to hear of them one by one."""
    file = tmp_path / "unpush.toml"
    file.write_text('[kafka]\nbootstrap_servers = "127.0.0.1:1"\n[push_kit]\nkey_file = "none.json"\n')
    assert main(["run", "-c", str(file)]) == 2
    assert "none.json does not exist" in capsys.readouterr().err
