import datetime
import ipaddress
import pathlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kfp_stub import Stub

from components.errors import InputError
from pipeline.kubeflow.server.connection import ServerError, connect
from pipeline.kubeflow.server.credentials import Credentials, read_credentials
from pipeline.kubeflow.server.versions import upload

SECRET = "eyJhbGciOi.c2VjcmV0"
TEXT = "pipelineInfo: {name: digits}\nroot: {dag: {}}\nschemaVersion: 2.1.0\n"


@pytest.fixture
def read(tmp_path):
    """Reads credentials from files of the given content and from an environment."""

    def read_(*, environment=None, **contents):
        files = dict.fromkeys(("token_file", "cookies_file", "ca_file"))
        for option, content in contents.items():
            files[option] = tmp_path / option
            files[option].write_bytes(content)
        return read_credentials(**files, environment=environment or {})

    return read_


def headers(stub: Stub) -> list[tuple[str | None, str | None]]:
    return [(each.headers["authorization"], each.headers["cookie"]) for each in stub.requests]


def test_nothing_is_sent_where_nothing_is_given(stub, patience, read):
    upload(connect(stub.url, credentials=read(), patience=patience), pipeline="digits", text=TEXT)
    assert set(headers(stub)) == {(None, None)}


def test_token_and_cookies_of_the_environment_go_with_each_request(stub, patience, read):
    stub.token, stub.cookies = SECRET, "session=abc; other=def"
    environment = {"DISTILL_KFP_TOKEN": SECRET, "DISTILL_KFP_COOKIES": "session=abc; other=def"}
    server = connect(stub.url, credentials=read(environment=environment), patience=patience)
    upload(server, pipeline="digits", text=TEXT)
    assert set(headers(stub)) == {(f"Bearer {SECRET}", "session=abc; other=def")}


def test_files_go_before_the_environment(stub, patience, read):
    stub.token, stub.cookies = SECRET, "session=abc"
    credentials = read(
        token_file=f"{SECRET}\n".encode(),
        cookies_file=b"session=abc\n",
        environment={"DISTILL_KFP_TOKEN": "old", "DISTILL_KFP_COOKIES": "old"},
    )
    upload(connect(stub.url, credentials=credentials, patience=patience), pipeline="digits", text=TEXT)
    assert set(headers(stub)) == {(f"Bearer {SECRET}", "session=abc")}


def test_token_that_kubernetes_renews_is_read_anew(stub, patience, read):
    stub.token = SECRET
    credentials = read(token_file=SECRET.encode())
    server = connect(stub.url, credentials=credentials, patience=patience)
    stub.token = "renewed"
    credentials.token_file.write_text("renewed")
    assert upload(server, pipeline="digits", text=TEXT).is_new


def test_token_file_that_vanishes_is_said(stub, patience, read):
    credentials = read(token_file=SECRET.encode())
    server = connect(stub.url, credentials=credentials, patience=patience)
    credentials.token_file.unlink()
    with pytest.raises(ServerError, match=r"token_file cannot be read \(No such file or directory\)"):
        upload(server, pipeline="digits", text=TEXT)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_secret_that_a_server_repeats_is_not_shown(stub, patience, read, status, caplog, capfd):
    caplog.set_level("DEBUG")
    credentials = read(environment={"DISTILL_KFP_TOKEN": SECRET, "DISTILL_KFP_COOKIES": "session=abc"})
    stub.fail("GET", "/healthz", *[status] * 5, message=f"Bearer {SECRET} with session=abc is unknown")
    with pytest.raises(ServerError, match=r"Bearer \*\*\* with \*\*\* is unknown") as refusal:
        connect(stub.url, credentials=credentials, patience=patience)
    said = str(refusal.value) + caplog.text + "".join(capfd.readouterr()) + repr(credentials)
    assert SECRET not in said
    assert "abc" not in said
    assert refusal.value.__suppress_context__  # A traceback would show what the server said.


def test_secret_that_is_cut_off_is_not_shown_in_part(stub, patience, read):
    credentials = read(environment={"DISTILL_KFP_TOKEN": SECRET})
    stub.fail("GET", "/healthz", 403, message="x" * 295 + SECRET)
    with pytest.raises(ServerError, match=r"x{295}") as refusal:
        connect(stub.url, credentials=credentials, patience=patience)
    assert SECRET[:5] not in str(refusal.value)


def test_credentials_do_not_show_in_a_traceback():
    assert SECRET not in repr(Credentials(token=SECRET, cookies=SECRET))


@pytest.mark.parametrize("option", ["token_file", "cookies_file"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"one\ntwo", "must be one line of printable ASCII characters"),
        (b"caf\xc3\xa9", "must be one line of printable ASCII characters"),
        (b"\xff\xfe", "cannot be read (no text)"),
    ],
)
def test_file_that_holds_no_secret(read, option, content, message):
    with pytest.raises(InputError) as refusal:
        read(**{option: content})
    assert str(refusal.value).startswith(f"--{option.replace('_', '-')} ")
    assert message in str(refusal.value)
    assert "two" not in str(refusal.value)


def test_environment_that_holds_no_token(read):
    with pytest.raises(InputError) as refusal:
        read(environment={"DISTILL_KFP_TOKEN": "secret\nline"})
    assert str(refusal.value) == "DISTILL_KFP_TOKEN: must be one line of printable ASCII characters"


@pytest.mark.parametrize("option", ["token_file", "cookies_file", "ca_file"])
def test_missing_file(tmp_path, option):
    files = dict.fromkeys(("token_file", "cookies_file", "ca_file")) | {option: tmp_path / "missing"}
    with pytest.raises(InputError, match=r"No such file or directory"):
        read_credentials(**files, environment={})


def test_file_without_certificates(read):
    with pytest.raises(InputError, match=r"--ca-file .* holds no certificates in PEM"):
        read(ca_file=b"nothing")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[pathlib.Path, pathlib.Path]:
    """A certificate of 127.0.0.1 that nobody but its own authority trusts, and its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stub")])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("certificate")
    (directory / "certificate.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return directory / "certificate.pem", directory / "key.pem"


@pytest.fixture
def secure_stub(certificate):
    stub = Stub(certificate=certificate)
    yield stub
    stub.stop()


def test_server_of_an_authority_of_one_s_own(secure_stub, patience, certificate):
    credentials = read_credentials(
        token_file=None, cookies_file=None, ca_file=certificate[0], environment={"DISTILL_KFP_TOKEN": SECRET}
    )
    secure_stub.token = SECRET
    server = connect(secure_stub.url, credentials=credentials, patience=patience)
    assert upload(server, pipeline="digits", text=TEXT).is_new


def test_server_of_an_unknown_authority_is_told_nothing(secure_stub, patience):
    with pytest.raises(ServerError, match=r"a certificate that is not trusted; .* by --ca-file"):
        connect(secure_stub.url, credentials=Credentials(token=SECRET), patience=patience)
    assert secure_stub.requests == []
