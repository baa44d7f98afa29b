"""Commands answer at once, and a mistake is one line and status 2."""

import errno
import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

import agem_tf
from agem_tf import cli, demo
from agem_tf.errors import UserError

COMMANDS = (
    "train prepare extract whiten evaluate export convert visualize index "
    "search duplicates tpu_check"
).split()


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_does_not_wait_for_tensorflow(command):
    code = (
        f"import sys, agem_tf.{command}; "
        "heavy = {'tensorflow', 'keras', 'jax', 'matplotlib'}; "
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_help_shows_the_flags():
    result = run("agem_tf.train", "--help")
    assert result.returncode == 0
    assert "--workdir" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["agem_tf.train", "--confg=x"],
        ["agem_tf.train", "--strategy=tpus"],
        ["agem_tf.train", "extra"],
        ["agem_tf.train", "--config=missing.py"],
        ["agem_tf.train", "--set=model.backbone=resnet51"],
        ["agem_tf.tpu_check", "--topology=v9:2x2"],
        ["agem_tf.tpu_check", "--compiler_python=missing"],
        ["agem_tf.extract", "--output=x"],
        ["agem_tf.extract", "--workdir=x", "--output=y", "--scales=a"],
        ["agem_tf.extract", "--workdir=missing", "--output=y"],
        ["agem_tf.export", "--workdir=missing", "--output=y"],
        ["agem_tf.evaluate", "--descriptors=missing", "--data_dir=missing"],
        ["agem_tf.whiten", "--descriptors=missing", "--output=y"],
        ["agem_tf.prepare", "--source=missing", "--data_dir=y"],
        ["agem_tf.prepare", "--data_dir=y"],
        ["agem_tf.index", "--photos=missing"],
        ["agem_tf.index", "--photos=missing", "--index=y"],
        ["agem_tf.index", "--remove=a.jpg", "--index=missing"],
        ["agem_tf.index", "--photos=.", "--index=y", "--box=1,2,3,4"],
        ["agem_tf.search", "photo.jpg"],
        ["agem_tf.search", "photo.jpg", "--index=missing", "--top=3"],
        ["agem_tf.search", "--index=missing"],
        ["agem_tf.search", "a.jpg", "--index=milvus:missing"],
        [
            "agem_tf.visualize",
            "--workdir=missing",
            "--descriptors=x",
            "--output=y",
        ],
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, tmp_path):
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert not any(tmp_path.iterdir())


# A command with three dataclasses, whose main does what it is asked to.
SCRIPT = '''"""Change a shelf.

    python shelf.py book --shelf=a
"""

import errno
import logging
import os
import warnings

from agem_tf import cli, demo
from agem_tf.errors import UserError


@cli.options
class Options:
    """Make a shelf."""

    books: tuple[str, ...] = cli.option((), "Books.", positional=True)
    shelf: str = cli.required("Name of the shelf.")
    colour: str = cli.option("red", "Colour.", choices=("red", "blue"))
    widths: tuple[float, ...] = cli.option((1.0, 0.5), "Widths.", above=0)
    steps: range = cli.option(range(0), "Steps.")
    full: bool = cli.option(False, "Fill the shelf.")
    raises: str = cli.option("", "Error to raise.")


@cli.options
class Add:
    """Add to a shelf."""

    shelf: str = cli.required("Name of the shelf.")
    count: int = cli.option(1, "Number of books.", minimum=1)


@cli.options
class Remove:
    """Remove from a shelf."""

    shelf: str = cli.required("Name of the shelf.")
    remove: tuple[str, ...] = cli.option((), "Book to remove.")


def main(options):
    raises = getattr(options, "raises", "")
    if raises == "user":
        raise UserError(f"No shelf {options.shelf}.")
    if raises == "disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b")
    if raises == "interrupt":
        raise KeyboardInterrupt
    if raises == "defect":
        raise KeyError("x")
    if raises == "names":
        name = "\\x1b]0;title\\x07 \\x9b2J \\u202e \\udcff.jpg"
        cli.print_line(name)
        warnings.warn(name)
        logging.getLogger("agem_tf.room").info(name)
        raise OSError(name)
    if raises == "log":
        logging.getLogger("agem_tf.room").info("a line")
        logging.getLogger("agem_tf.room").warning("careful")
        logging.getLogger("other").info("hidden")
        logging.getLogger("other").warning("shown")
    if raises == "lines":
        for _ in range(10**5):
            cli.print_line("line")
    cli.print_line(repr(options).replace("\\\\n", "\\n"))


if __name__ == "__main__":
    cli.run(main, Options, add=Add, remove=Remove)
'''


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    path = tmp_path_factory.mktemp("script") / "shelf.py"
    path.write_text(SCRIPT)

    def call(*arguments):
        return subprocess.run(
            [sys.executable, str(path), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )

    call.path = path
    return call


@pytest.mark.parametrize("traceback", [(), ("--traceback",)])
def test_no_name_of_a_file_reaches_the_terminal_raw(shelf, traceback):
    result = shelf("--shelf=a", "--raises=names", *traceback)
    shown = r"\x1b]0;title\x07 \x9b2J \u202e \udcff.jpg"
    assert result.stdout == f"{shown}\n"
    assert result.stderr.startswith(f"warning: {shown}\n{shown}\n")
    assert f"OSError: {shown}\n" in result.stderr
    assert result.stderr.isascii()


def test_commands_print_by_the_escaping_functions_alone():
    root = pathlib.Path(cli.__file__).parent
    calls = re.compile(r"(?<![\w.])print\(|std(out|err)\.write\(")
    printing = {
        path.name
        for path in root.rglob("*.py")
        if calls.search(path.read_text(encoding="utf-8"))
    }
    assert printing == {"cli.py"}


def test_flags_become_the_options_of_their_types(shelf):
    result = shelf(
        "one", "--shelf", "a", "--widths=2,0.5", "--steps=3:5", "--full", "two"
    )
    assert result.stdout == (
        "Options(books=('one', 'two'), shelf='a', colour='red', "
        "widths=(2.0, 0.5), steps=range(3, 5), full=True, raises='')\n"
    )
    assert not result.stderr
    assert "full=False" in shelf("--shelf=a", "--nofull").stdout


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--add", "--count=3"], "Add(shelf='a', count=3)"),
        (
            ["--remove=x", "--remove=y"],
            "Remove(shelf='a', remove=('x', 'y'))",
        ),
    ],
)
def test_a_flag_chooses_among_dataclasses(shelf, arguments, printed):
    assert shelf("--shelf=a", *arguments).stdout == f"{printed}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--add", "--colour=red"], "--colour does not go with --add"),
        (["--remove=x", "--add"], "--remove does not go with --add"),
        (["--count=3"], "--count goes with --add only"),
        (["--colour=green"], "--colour must be one of red, blue, not 'green'"),
        (["--widths=0"], "--widths must be positive, not (0.0,)"),
        (["--add", "--count=0"], "--count must be at least 1, not 0"),
        (["--add", "--count=x"], "flag --count=x"),
        (["--add", "book"], "unexpected argument 'book'"),
        (["--full=maybe"], "--full=maybe: 'maybe' is not true or false"),
        (["--steps=5"], "'5' is not FIRST:END"),
        (["--steps=5:5"], "'5:5' is empty; END must be larger"),
        (["--colur=red"], "Did you mean: colour"),
        (["--raises=user"], "No shelf a."),
        (["--raises=disk"], "a/b can't be written: No space left on device"),
    ],
)
def test_a_mistake_names_the_flag(shelf, arguments, message):
    result = shelf("--shelf=a", *arguments)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_a_required_flag_is_named(shelf):
    result = shelf("--add")
    assert result.returncode == 2
    assert "--shelf is required" in result.stderr


@pytest.mark.parametrize(
    ("read", "written"), [("workdir", "index"), ("features", "codebook")]
)
def test_a_full_disk_names_what_a_command_writes_not_what_it_reads(
    monkeypatch, capsys, read, written
):
    Options = cli.options(
        type(
            "Options",
            (),
            {
                "__annotations__": {read: str, written: str},
                read: cli.required("What is read."),
                written: cli.required("What is written."),
            },
        )
    )
    arguments = [f"--{read}=a", f"--{written}=b"]
    run_on_a_full_disk(monkeypatch, Options, arguments)
    assert capsys.readouterr().err.startswith("error: b can't be written")


def test_a_full_disk_names_a_directory_that_is_not_given(monkeypatch, capsys):
    run_on_a_full_disk(monkeypatch, demo.DemoOptions, [])
    assert capsys.readouterr().err.startswith("error: runs/demo can't be")


def run_on_a_full_disk(monkeypatch, options, arguments):
    def fill_disk(options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cli, "_configure_logging", lambda: None)
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit):
        cli.run(fill_disk, options)


@pytest.mark.parametrize(
    ("command", "inputs"),
    [
        ("browse", {"index": "missing"}),
        ("duplicates", {"index": "missing"}),
        ("match", {"photos": ("missing.jpg", "missing.jpg")}),
        ("search", {"index": "missing", "photos": ("missing.jpg",)}),
        ("visualize", {"workdir": "missing", "descriptors": "missing"}),
    ],
)
def test_a_page_that_can_not_be_written_is_found_before_the_work(
    command, inputs, tmp_path
):
    module = importlib.import_module(f"agem_tf.{command}")
    options = getattr(module, f"{command.capitalize()}Options")
    with pytest.raises(UserError, match="is a directory; give a file"):
        module.main(options(**inputs, output=str(tmp_path)))


def test_an_interrupt_is_one_line_and_status_130(shelf):
    result = shelf("--shelf=a", "--raises=interrupt")
    assert (result.returncode, result.stderr) == (130, "error: interrupted\n")


def test_an_interrupt_during_imports_ends_a_command_quietly(monkeypatch):
    @cli.options
    class Options:
        shelf: str = cli.option("", "Shelf.")

    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(cli, "_configure_logging", lambda: None)
        monkeypatch.setattr(sys, "argv", ["-m"])
        importlib.reload(agem_tf)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        command = ["python", "-m", "agem_tf.search"]
        monkeypatch.setattr(sys, "orig_argv", command)
        importlib.reload(agem_tf)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        during = []
        monkeypatch.setattr(sys, "argv", ["search"])
        cli.run(lambda _: during.append(signal.getsignal(2)), Options)
        assert during == [signal.default_int_handler]
        # What a shell or nohup ignores stays ignored.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        monkeypatch.setattr(sys, "argv", ["-m"])
        importlib.reload(agem_tf)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_a_defect_keeps_its_traceback_and_a_mistake_has_one_on_demand(shelf):
    result = shelf("--shelf=a", "--raises=defect")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "Traceback" not in shelf("--shelf=a", "--raises=user").stderr
    result = shelf("--shelf=a", "--raises=user", "--traceback")
    assert "Traceback" in result.stderr
    assert "No shelf a." in result.stderr


def test_a_closed_pipe_ends_a_command_quietly(shelf):
    command = [sys.executable, str(shelf.path), "--shelf=a", "--raises=lines"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_log_lines_are_plain(shelf):
    result = shelf("--shelf=a", "--raises=log")
    assert result.stderr == "a line\nwarning: careful\nwarning: shown\n"


def test_a_terminal_does_not_obey_a_file_name(shelf):
    result = shelf("--shelf=a\x1b[2J", "--raises=user")
    assert result.stderr == "error: No shelf a\\x1b[2J.\n"


def test_help_lists_each_option_once_with_its_default(shelf):
    result = shelf("--help")
    assert result.returncode == 0
    assert "Change a shelf." in result.stdout
    assert result.stdout.count("--shelf=TEXT") == 1
    assert "Colour. One of red, blue. Default: red." in result.stdout
    assert "Widths. Above 0. Default: 1,0.5." in result.stdout
    assert "--[no]add\n      Add to a shelf." in result.stdout


def test_a_failed_import_keeps_its_cause(tmp_path):
    (tmp_path / "broken.py").write_text(
        "import os\n"
        "os.write(2, b'libx.so is missing\\n')\n"
        "raise ImportError('no x')\n"
    )
    code = "from agem_tf import cli; cli.lazy('broken').f"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "libx.so is missing\n" in result.stderr
    assert "ImportError: no x" in result.stderr
