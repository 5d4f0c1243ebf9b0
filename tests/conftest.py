"""What several test modules share."""

import dataclasses
import functools
import getpass
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
TFDS_DATA = REPOSITORY.parent / "shared" / "data" / "tfds"


def pytest_configure() -> None:
    """Undoes what a shell does to a program in its background, whose children would ignore Ctrl-C too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the runs of the whole graph first: beside them, the other process finds enough to do."""
    items.sort(key=lambda item: "end_to_end" not in item.path.parts)


@pytest.fixture
def served(tmp_path: pathlib.Path) -> Iterator[str]:
    """The address of an HTTP server that gives out the directory of the test."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server of Amazon's S3, which is in the environment with some credentials."""
    import moto.server

    server = moto.server.ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str) -> str:
    """The URI of a directory in a new bucket."""
    name = f"b{uuid.uuid4().hex}"
    urllib.request.urlopen(urllib.request.Request(f"{s3}/{name}", method="PUT")).close()
    return f"s3://{name}/students"


@pytest.fixture(scope="session")
def tfds_data() -> pathlib.Path:
    """The directory with real MNIST and cats_vs_dogs in TFDS's format."""
    if not TFDS_DATA.is_dir():
        pytest.skip(f"needs real images in TFDS's format in {TFDS_DATA}, which is no part of the project")
    return TFDS_DATA


@pytest.fixture(scope="session")
def transform_graph(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The graph that Transform makes for images of 8x8x1."""
    import tensorflow as tf
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    from components.settings.models import ImageSettings
    from components.transform.preprocessing import preprocessing_fn

    directory = tmp_path_factory.mktemp("transform")
    specification = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "id": tf.io.FixedLenFeature([], tf.string),
    }
    example = {"image": tf.io.encode_png(np.zeros((8, 8, 1), np.uint8)).numpy(), "label": 0, "id": b"0"}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(specification))
    settings = {"image": ImageSettings(height=8, width=8, channels=1).model_dump()}
    with tft_beam.Context(temp_dir=str(directory / "temporary")):
        analysis = tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, settings))
        _ = (([example], metadata) | analysis) | tft_beam.WriteTransformFn(str(directory / "graph"))
    return str(directory / "graph")


@pytest.fixture(scope="session")
def write_examples() -> Callable[..., str]:
    """A function that writes transformed examples to a file, as Transform does."""
    import tensorflow as tf

    def write(
        path: pathlib.Path,
        *,
        pixels: np.ndarray,
        labels: Sequence[int],
        ids: Sequence[str],
        weights: Sequence[float] = (),
    ) -> str:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number, (image, label, example_id) in enumerate(zip(pixels, labels, ids, strict=True)):
                example = tf.train.Example()
                example.features.feature["image"].bytes_list.value.append(image.astype(np.uint8).tobytes())
                example.features.feature["label"].int64_list.value.append(int(label))
                example.features.feature["id"].bytes_list.value.append(example_id.encode())
                if len(weights):
                    example.features.feature["weight"].float_list.value.append(weights[number])
                writer.write(example.SerializeToString())
        return str(path)

    return write


@dataclasses.dataclass(frozen=True)
class MariaDb:
    """A server of MariaDB, with one user."""

    port: int
    socket: pathlib.Path
    password: str = 'it\'s a "hush-hush" \\\\ of MariaDB'

    def create(self, database: str) -> str:
        """Makes an empty database, and returns its URL."""
        import pymysql

        with pymysql.connect(unix_socket=str(self.socket), user="root") as connection:
            cursor = connection.cursor()
            cursor.execute("CREATE USER IF NOT EXISTS distill IDENTIFIED BY %s", (self.password,))
            cursor.execute(f"CREATE DATABASE {database}")
            cursor.execute(f"GRANT ALL ON {database}.* TO distill")
        return f"mysql://distill@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """A real server; see CONTRIBUTING.md for how to install it."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    install, server = (shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd"))
    if install is None or server is None:
        pytest.skip("needs mariadbd and mariadb-install-db: apt-get install mariadb-server")
    directory = tmp_path_factory.mktemp("mariadb")
    options = ["--no-defaults", f"--datadir={directory / 'data'}", f"--user={getpass.getuser()}"]
    subprocess.run(
        [install, *options, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not below the data: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory() as short:
        place = pathlib.Path(short, "socket")
        running = [server, *options, f"--socket={place}", f"--port={port}", "--bind-address=127.0.0.1"]
        with subprocess.Popen(running, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                while "ready for connections" not in (line := process.stderr.readline()):
                    assert line, "mariadbd did not start"
                yield MariaDb(port, place)
            finally:
                process.terminate()


@dataclasses.dataclass(frozen=True)
class Visit:
    """What a browser says of a page: its console, its requests, and by how many pixels it is too wide."""

    messages: list[str]
    requests: list[str]
    excess_width: int


class Browser:
    """Headless Chromium that shows pages from disk."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def visit(self, page: pathlib.Path, *, width: int, scheme: str = "light") -> Visit:
        """Opens a page, `width` pixels wide, in the `light` or the `dark` scheme."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # Forgets what came before.
        self.driver.get(page.as_uri())
        excess = self.driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        requests = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return Visit(
            messages=[entry["message"] for entry in self.driver.get_log("browser")],
            requests=[url for url in requests if not url.startswith("data:")],
            excess_width=excess,
        )

    def run(self, script: str) -> Any:
        """Returns what a script in the page returns."""
        return self.driver.execute_script(script)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real browser; see CONTRIBUTING.md for how to install it."""
    from selenium import webdriver

    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs["chromium"])
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in (
        *("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-dev-shm-usage"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs["chromedriver"]))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
