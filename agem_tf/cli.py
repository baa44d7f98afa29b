"""Commands from dataclasses: flags, help, log lines and one-line errors.

A command is a module with a dataclass of options and a `main` that takes it:

    @cli.options
    class Options:
        workdir: str = cli.required("Directory of the run.")
        scales: tuple[float, ...] | None = cli.option(None, "Image scales.")

    def main(options: Options) -> Result: ...

    if __name__ == "__main__":
        cli.run(main, Options)

Commands load the heavy rooms through `lazy`, so that `--help` and a mistyped
flag are answered before TensorFlow's import, which takes seconds.
"""

import dataclasses
import gc
import importlib
import logging
import os
import signal
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from absl import flags

from agem_tf import native_output
from agem_tf.errors import UserError, sentence_of
from agem_tf.option_fields import (
    default_of,
    fields_of,
    info_of,
    option,
    options,
    required,
)

__all__ = [
    "lazy",
    "option",
    "options",
    "options_from_arguments",
    "print_line",
    "required",
    "run",
    "shown_value",
]

USER_ERROR_STATUS = UserError.status
INTERRUPTED_STATUS = 130  # 128 + SIGINT, as a shell reports it.
BROKEN_PIPE_STATUS = 141  # 128 + SIGPIPE


class _LazyModule(ModuleType):
    """Imports the module of its name when an attribute is asked for."""

    def __getattr__(self, attribute: str) -> object:
        lines: list[str] = []
        try:
            with native_output.captured() as lines:
                module = importlib.import_module(self.__name__)
        except BaseException:
            # What a native library wrote may be the cause.
            for line in lines:
                print(_printable(line), file=sys.stderr)
            raise
        return getattr(module, attribute)


def lazy(module: str) -> ModuleType:
    """Returns a module that is imported when an attribute is first used."""
    return _LazyModule(module)


def print_line(text: str) -> None:
    """Prints text, with control characters of file names made visible."""
    print(_printable(text))


def run(
    main: Callable[[Any], object],
    default: type,
    /,
    **alternatives: type,
) -> None:
    """Runs a command: flags to options, exceptions to one line and a status.

    Args:
        main: takes an instance of one of the dataclasses.
        default: dataclass of options, made by `options`.
        **alternatives: dataclasses that are taken instead where the flag of
            their name is given, for example `remove=Remove` for --remove. If
            the dataclass has no such field, the flag is a switch.
    """
    # Importing TensorFlow and building graphs creates millions of objects that
    # stay; looking through them so often took a seventh of a command's time.
    gc.set_threshold(50_000, 20, 50)
    # The package has set it for the time of its imports.
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    native_output.prepare_tensorflow_import()
    _configure_logging()
    given: dict[str, Any] = {}
    with_traceback = False
    try:
        parser = _Parser(default, alternatives)
        given = parser.parse(sys.argv)
        if given.pop("help", False):
            print(parser.usage(main), end="")
            return
        with_traceback = given.pop("traceback", False)
        options = parser.build(given)
        given = vars(options)
        main(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, for example `head`, has closed the pipe. Python flushes
        # once more at exit, which must not fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE_STATUS)
    except (Exception, KeyboardInterrupt) as error:
        sentence = sentence_of(error, _destination(given))
        if sentence is None or with_traceback:
            raise
        line = " ".join(_printable(sentence).split())
        print(f"error: {line}", file=sys.stderr)
        interrupted = isinstance(error, KeyboardInterrupt)
        status = getattr(error, "status", USER_ERROR_STATUS)
        sys.exit(INTERRUPTED_STATUS if interrupted else status)


def options_from_arguments(
    default: type, alternatives: dict[str, type], arguments: Sequence[str]
) -> Any:
    """Returns the options that `run` would pass for these arguments.

    Args:
        default, alternatives: see `run`.
        arguments: the program's name and its arguments.

    Raises:
        UserError: a flag is unknown, missing, malformed or misplaced.
    """
    parser = _Parser(default, alternatives)
    return parser.build(parser.parse(arguments))


class _NumbersParser(flags.ArgumentParser):
    syntactic_help = "numbers separated by commas"

    def parse(self, argument: str) -> tuple[float, ...]:
        return tuple(float(value) for value in argument.split(","))


class _SwitchParser(flags.BooleanParser):
    def parse(self, argument: str | bool) -> bool:
        try:
            return super().parse(argument)
        except ValueError as error:  # With a tuple for a message.
            raise ValueError(f"{argument!r} is not true or false") from error


class _RangeParser(flags.ArgumentParser):
    syntactic_help = "FIRST:END, such as 10:15"

    def parse(self, argument: str) -> range:
        first, _, end = argument.partition(":")
        if not (first.isdecimal() and end.isdecimal()):
            raise ValueError(f"{argument!r} is not FIRST:END")
        if int(first) >= int(end):
            raise ValueError(f"{argument!r} is empty; END must be larger")
        return range(int(first), int(end))


# Type of an option's values -> its parser, and how --help shows a value.
_PARSERS = {
    str: (flags.ArgumentParser, "TEXT"),
    int: (flags.IntegerParser, "INTEGER"),
    float: (flags.FloatParser, "NUMBER"),
    tuple[float, ...]: (_NumbersParser, "NUMBER,..."),
    tuple[str, ...]: (flags.ArgumentParser, "TEXT"),
    range: (_RangeParser, "FIRST:END"),
}


class _Parser:
    """The flags of one command, made from its dataclasses."""

    def __init__(self, default: type, alternatives: dict[str, type]):
        # The first whose flag is given is chosen; "" is without any.
        self._classes = alternatives | {"": default}
        self._flags = flags.FlagValues()
        self._flags.set_gnu_getopt()
        self._help: dict[str, str] = {}
        self._positional: str | None = None
        for cls in (default, *alternatives.values()):
            for name, kind, field in fields_of(cls):
                self._define(name, kind, field)
        for name, cls in alternatives.items():
            if name not in self._flags:
                self._define_switch(name, cls.__doc__.strip().splitlines()[0])
        self._define_switch("traceback", "Print the traceback of an error.")
        self._define_switch("help", "Print this text.")

    def parse(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Returns the values of the flags that were given.

        Raises:
            UserError: an unknown or malformed flag, an unexpected argument.
        """
        try:
            _, *rest = self._flags(arguments)
        except flags.Error as error:
            raise UserError(f"{error} (see --help)") from error
        given = {
            name: self._flags[name].value
            for name in self._flags
            if self._flags[name].present
        }
        if rest and self._positional is None:
            raise UserError(f"unexpected argument {rest[0]!r} (see --help)")
        if rest:
            given[self._positional] = rest
        return given

    def build(self, given: dict[str, Any]) -> Any:
        """Returns an instance of the dataclass that the flags choose.

        Raises:
            UserError: a missing or misplaced flag, a value out of bounds.
        """
        chosen = next((name for name in self._classes if given.get(name)), "")
        cls = self._classes[chosen]
        names = _names(cls)
        for name, value in given.items():
            if name not in names and name != chosen and value:
                raise UserError(self._misplaced(name, value, chosen))
        for name, _, field in fields_of(cls):
            if name not in given and default_of(field) is dataclasses.MISSING:
                raise UserError(f"--{name} is required (see --help)")
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in given.items()
                if name in names
            }
        )

    def usage(self, main: Callable[[Any], object]) -> str:
        """Returns the text for --help: the module's, and its options."""
        module = sys.modules[main.__module__]
        spec = getattr(module, "__spec__", None)
        program = f"python -m {spec.name}" if spec else sys.argv[0]
        positional = f" [{self._positional} ...]" if self._positional else ""
        listed = "\n".join(
            f"  {head}\n"
            + textwrap.fill(
                text, 78, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
            for head, text in self._help.items()
        )
        return (
            f"Usage: {program}{positional} [--flag=value ...]\n\n"
            f"{(module.__doc__ or '').strip()}\n\nOptions:\n{listed}\n"
        )

    def _define(self, name: str, kind: Any, field: dataclasses.Field) -> None:
        info, default = info_of(field), default_of(field)
        if info.positional:
            self._positional = name
            return
        if name in self._flags:  # Dataclasses of one command share options.
            return
        text = info.text
        if kind == tuple[str, ...]:
            text += " May be repeated."
        if default is dataclasses.MISSING:
            text += " Required."
        elif default not in (None, False, "", (), range(0)):
            text += f" Default: {shown_value(default)}."
        if kind is bool:
            self._define_switch(name, text)
            return
        parser, placeholder = _PARSERS[kind]
        self._help[f"--{name}={placeholder}"] = text
        if kind == tuple[str, ...]:
            flags.DEFINE_multi_string(name, None, text, self._flags)
        else:
            flags.DEFINE(parser(), name, None, text, self._flags)

    def _define_switch(self, name: str, text: str) -> None:
        self._help[f"--[no]{name}"] = text
        switch = flags.BooleanFlag(name, None, text)
        switch.parser = _SwitchParser()
        flags.DEFINE_flag(switch, self._flags)

    def _misplaced(self, name: str, value: Any, chosen: str) -> str:
        """Returns the sentence for an option of a dataclass not chosen."""
        if name == self._positional:
            return f"unexpected argument {value[0]!r} with --{chosen}"
        if chosen:
            return f"--{name} does not go with --{chosen}; leave one out."
        owners = [
            f"--{key}"
            for key, cls in self._classes.items()
            if name in _names(cls)
        ]
        return f"--{name} goes with {' or '.join(owners)} only."


def shown_value(value: Any) -> str:
    """Returns an option's value as it is written on the command line."""
    if isinstance(value, range):
        return f"{value.start}:{value.stop}"
    if isinstance(value, tuple):
        return ",".join(map(shown_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _names(cls: type) -> set[str]:
    return {field.name for field in dataclasses.fields(cls)}


def _destination(given: dict[str, Any]) -> str:
    """Returns where a command writes, for the error of a full disk."""
    # `index` reads its --workdir; `train` and `convert` write theirs.
    places = (
        *("output", "index", "workdir", "data_dir", "codebook", "add"),
        "directory",
    )
    return next((given[name] for name in places if given.get(name)), "")


def _configure_logging() -> None:
    """Prints this package's log lines, and others' warnings, on stderr.

    The root logger's level is WARNING.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_PlainFormatter())
    logging.root.addHandler(handler)
    logging.getLogger("agem_tf").setLevel(logging.INFO)
    # What Python itself would print with the names of files as they are.
    warnings.showwarning = _log_warning
    sys.excepthook = _print_traceback


def _log_warning(message: Warning | str, *place: Any) -> None:
    logging.getLogger("agem_tf").warning("%s", message)


def _print_traceback(*exception: Any) -> None:
    text = "".join(traceback.format_exception(*exception))
    print(_printable(text), end="", file=sys.stderr)


class _PlainFormatter(logging.Formatter):
    """Formats lines without time, thread or source; marks warnings."""

    def format(self, record: logging.LogRecord) -> str:
        text = _printable(super().format(record))
        is_warning = record.levelno >= logging.WARNING
        return f"{record.levelname.lower()}: {text}" if is_warning else text


def _printable(text: str) -> str:
    """Replaces control characters, which a terminal would obey.

    File names of downloads may hold them. Line breaks and tabs stay.
    """
    return "".join(
        char
        if char.isprintable() or char in "\n\t"
        else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
