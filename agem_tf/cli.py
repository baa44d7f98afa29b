"""What every command shares: flags, one-line errors, exit statuses.

Commands load the heavy rooms through `lazy`, so that `--help` and a mistyped
flag are answered before TensorFlow's import, which takes seconds.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from logging import WARNING, LogRecord
from types import ModuleType
from typing import Any

from absl import flags, logging

from agem_tf import config, native_output
from agem_tf.config import loading
from agem_tf.distribution import preflight
from agem_tf.errors import UserError

USER_ERROR_STATUS = 2


class _LazyModule(ModuleType):
    """Imports the module of its name when an attribute is asked for."""

    def __getattr__(self, attribute: str) -> object:
        with native_output.captured():
            module = importlib.import_module(self.__name__)
        return getattr(module, attribute)


def lazy(module: str) -> ModuleType:
    """Returns a module that is imported when first used, its parents too."""
    return _LazyModule(module)


class _NumbersParser(flags.ArgumentParser):
    syntactic_help = "numbers separated by commas"

    def parse(self, argument: str) -> tuple[float, ...]:
        return tuple(float(value) for value in argument.split(","))


class _RangeParser(flags.ArgumentParser):
    syntactic_help = "FIRST:END, such as 10:15"

    def parse(self, argument: str) -> range:
        first, _, end = argument.partition(":")
        if not (first.isdecimal() and end.isdecimal()):
            raise ValueError(f"{argument!r} is not FIRST:END")
        return range(int(first), int(end))


class Flags(flags.FlagValues):
    """The flags of one command.

    Not absl's global ones, so that two commands can be imported as libraries
    although both have a --workdir.
    """

    def string(self, *arguments: Any, **options: Any) -> flags.FlagHolder:
        """As absl's DEFINE_string; the other methods likewise."""
        return flags.DEFINE_string(*arguments, flag_values=self, **options)

    def bool(self, *arguments: Any, **options: Any) -> flags.FlagHolder:
        return flags.DEFINE_bool(*arguments, flag_values=self, **options)

    def enum(self, *arguments: Any, **options: Any) -> flags.FlagHolder:
        return flags.DEFINE_enum(*arguments, flag_values=self, **options)

    def integer(self, *arguments: Any, **options: Any) -> flags.FlagHolder:
        return flags.DEFINE_integer(*arguments, flag_values=self, **options)

    def float(self, *arguments: Any, **options: Any) -> flags.FlagHolder:
        return flags.DEFINE_float(*arguments, flag_values=self, **options)

    def numbers(self, name: str, text: str) -> flags.FlagHolder:
        """A list such as --scales=1,0.5, a tuple of floats; default None."""
        return flags.DEFINE(_NumbersParser(), name, None, text, self)

    def range(self, name: str, text: str) -> flags.FlagHolder:
        """Numbers such as --profile_steps=10:15, a range; default None."""
        return flags.DEFINE(_RangeParser(), name, None, text, self)

    def multi_string(self, *arguments: Any, **options: Any) -> flags.FlagHolder:
        return flags.DEFINE_multi_string(
            *arguments, flag_values=self, **options
        )

    def recipe(self) -> Callable[[], config.Config]:
        """Defines --config and --set; returns what reads and checks both."""
        path = self.string(
            "config",
            None,
            "Recipe file with get_config(); default: the quickstart.",
        )
        assignments = self.multi_string(
            "set", [], "Override, such as model.pooling=mac; may be repeated."
        )

        def read() -> config.Config:
            recipe = loading.load(path.value) if path.value else config.Config()
            return config.validate(loading.override(recipe, assignments.value))

        return read

    def parse(self, arguments: Sequence[str]) -> Sequence[str]:
        """Parses for absl's app.run; a mistake ends with status 2."""
        rest = self.parse_around(arguments)
        if rest[1:]:
            _fail(f"unexpected argument {rest[1]!r} (see --help)")
        return rest

    def parse_around(self, arguments: Sequence[str]) -> Sequence[str]:
        """As `parse`, and leaves what is no flag to the command.

        Returns:
            The program, and the arguments between and after the flags.
        """
        flags.FLAGS.set_gnu_getopt()
        flags.FLAGS.append_flag_values(self)
        for name in self:
            flags.FLAGS.register_flag_by_module(arguments[0], self[name])
        try:
            rest = flags.FLAGS(arguments)
            self.mark_as_parsed()
            self.validate_all_flags()
        except flags.Error as error:
            _fail(f"{error} (see --help)")
        except SystemExit:
            # absl ends --help with status 1, as if asking were a mistake.
            sys.exit(0)
        return rest


def command(run: Callable[..., object]) -> Callable[[Sequence[str]], None]:
    """Wraps a command for app.run: a UserError is one line and status 2.

    Args:
        run: gets the arguments that `Flags.parse_around` left, if any.
    """

    def main(argv: Sequence[str]) -> None:
        # TensorFlow's C++ start-up chatter would bury the plain lines.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        preflight.skip_the_search()
        logging.set_verbosity(logging.INFO)
        logging.get_absl_handler().addFilter(_is_ours_or_a_warning)
        try:
            run(*argv[1:])
        except UserError as error:
            _fail(str(error))

    return main


def _is_ours_or_a_warning(record: LogRecord) -> bool:
    ours = os.path.dirname(__file__)
    return record.levelno >= WARNING or record.pathname.startswith(ours)


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(USER_ERROR_STATUS)
