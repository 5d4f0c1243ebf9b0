import pathlib

import pytest
import tensorflow as tf

from components.training.hardware import precision
from components.training.hardware.precision import resolve_precision


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_policy_stays_as_it_is(policy: str) -> None:
    assert resolve_precision(policy) == policy


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="a GPU decides, not the processor")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse4_2 avx2 avx512f avx512_bf16 avx512vbmi", "mixed_bfloat16"),  # AMD Zen 5.
        ("fpu avx2 avx512f avx512_vnni amx_bf16 amx_tile", "mixed_bfloat16"),  # Intel Sapphire Rapids.
        ("fpu sse4_2 avx2 avx512f avx512_vnni", "float32"),  # Intel Ice Lake.
        ("", "float32"),
    ],
)
def test_auto_takes_bfloat16_where_the_processor_computes_in_it(
    flags: str, expected: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n", encoding="utf-8")
    monkeypatch.setattr(precision, "_CPU_INFO", information)

    assert resolve_precision("auto") == expected
