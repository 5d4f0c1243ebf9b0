"""Files that Beam's file systems reach: HDFS, and what else has a scheme of its own there."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

from components.errors import InputError, first_line
from components.files import partial_name
from components.storage.place import Entry, Place, pieces_of
from components.storage.uri import join, name_of, parent_of

_options: list[str] = []


def use_options(options: Sequence[str]) -> None:
    """Sets the options of Beam by which file systems are reached, until this process makes a pipeline."""
    _options[:] = options


class BeamFiles(Place):
    """Beam's file systems, which are imported when the first file is asked for.

    The options of Beam's pipelines say how they are reached, such as `--hdfs_host`.
    """

    def is_file(self, uri: str) -> bool:
        """Looks for a file of exactly this name."""
        return any(each.path == uri for each in _match(uri))

    def is_folder(self, uri: str) -> bool:
        """Looks for anything below."""
        return any(True for _ in self.files(uri))

    def names(self, uri: str) -> tuple[list[str], list[str]]:
        """Takes the first parts of the names of all files below."""
        folders: set[str] = set()
        files: set[str] = set()
        for entry in self.files(uri):
            first, slash, _ = entry.name.partition("/")
            (folders if slash else files).add(first)
        return sorted(folders), sorted(files)

    def files(self, uri: str) -> Iterator[Entry]:
        """Matches all that is below."""
        root = f"{uri.rstrip('/')}/"
        for each in _match(f"{root}**"):
            name = each.path.removeprefix(root)
            if name and not name.endswith("/"):
                yield Entry(name, each.size_in_bytes, str(each.last_updated_in_seconds))

    def pieces(self, uri: str) -> Iterator[bytes]:
        """Reads the file as it is: what is compressed stays so."""
        with self._opened(uri) as file:
            yield from pieces_of(file)

    def write_pieces(self, uri: str, pieces: Iterator[bytes]) -> None:
        """Gives the file its name when all of it is there; the one that was there goes just before."""
        with self._replacing(uri) as file:
            for piece in pieces:
                file.write(piece)

    def remove(self, uri: str) -> None:
        """Removes the file, or the folder with all that is in it."""
        with _reaching(uri):
            if self.is_file(uri) or self.is_folder(uri):
                _file_systems().delete([uri if self.is_file(uri) else f"{uri.rstrip('/')}/"])

    @contextlib.contextmanager
    def _opened(self, uri: str) -> Iterator[IO[bytes]]:
        from apache_beam.io.filesystem import CompressionTypes

        if not self.is_file(uri):
            raise FileNotFoundError(uri)
        with (
            _reaching(uri),
            _file_systems().open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file,
        ):
            yield file

    @contextlib.contextmanager
    def _replacing(self, uri: str) -> Iterator[IO[bytes]]:
        from apache_beam.io.filesystem import CompressionTypes

        file_systems = _file_systems()
        partial = join(parent_of(uri), partial_name(name_of(uri), alone=False))
        with _reaching(uri):
            with contextlib.suppress(OSError):  # It is there already.
                file_systems.mkdirs(parent_of(uri))
            try:
                with file_systems.create(partial, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                    yield file
            except BaseException:
                with contextlib.suppress(Exception):
                    file_systems.delete([partial])
                raise
            self.remove(uri)  # Beam's file systems rename nothing to a name that is taken.
            file_systems.rename([partial], [uri])


def _match(pattern: str) -> list[Any]:
    with _reaching(pattern):
        (found,) = _file_systems().match([pattern])
    return list(found.metadata_list)


def _file_systems() -> Any:
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    if FileSystems._pipeline_options is None:  # No pipeline was made in this process yet.
        FileSystems.set_options(PipelineOptions(_options))
    return FileSystems


@contextlib.contextmanager
def _reaching(uri: str) -> Iterator[None]:
    """Puts what went wrong into words."""
    from apache_beam.io.filesystem import BeamIOError

    try:
        yield
    except FileNotFoundError:
        raise
    except (BeamIOError, ValueError, ConnectionError) as error:
        raise InputError(
            f"{uri} cannot be used ({first_line(error)}); see to it that it is there, and that Beam's file "
            "systems reach it with the options that are given."
        ) from None
