import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
from threadpoolctl import threadpool_limits

from lastbit.differing import differing_fields
from lastbit.execution.numerics import fingerprint, instruction_sets, processor


def changed(before):
    return set(differing_fields([before, fingerprint()]))


def test_it_repeats_and_names_the_libraries():
    found = fingerprint()
    assert found == fingerprint()
    assert (found["torch"], found["numpy"]) == (torch.__version__, numpy.__version__)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(isinstance(value, str | int | bool | None) for value in found.values())


def test_what_else_is_imported_does_not_matter():
    program = (
        "from lastbit.execution.numerics import fingerprint; before = fingerprint(); "
        "import scipy.linalg, sklearn; print(fingerprint() == before)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"True\n"


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("ONEDNN_MAX_CPU_ISA", True),
        ("MKL_CBWR", True),
        ("OMP_NUM_THREADS", True),
        ("KMP_DETERMINISTIC_REDUCTION", True),
        ("NVIDIA_TF32_OVERRIDE", True),
        ("CUBLAS_WORKSPACE_CONFIG", True),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", True),
        ("KMP_DUPLICATE_LIB_OK", False),
        ("MKL_VERBOSE", False),
        ("TORCHINDUCTOR_CACHE_DIR", False),
        ("NVIDIA_VISIBLE_DEVICES", False),
        ("HOME", False),
    ],
)
def test_variables_that_change_bits_are_recorded_by_name(monkeypatch, name, recorded):
    monkeypatch.delenv(name, raising=False)
    before = fingerprint()
    monkeypatch.setenv(name, "another")
    assert changed(before) == ({f"environment.{name}"} if recorded else set())


def test_threads_are_those_of_torch_and_of_numpy():
    before = fingerprint()
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert "threads" in changed(before)
        assert changed(before) <= {"threads", "omp_threads", "mkl_threads"}
    finally:
        torch.set_num_threads(threads)
    with threadpool_limits(1, user_api="blas"):
        assert fingerprint()["numpy_blas_threads"] == 1
    assert before["interop_threads"] == torch.get_num_interop_threads()


def test_the_libraries_behind_torch_are_those_it_was_built_with():
    found = fingerprint()
    built = torch.__config__.show()
    assert f"BLAS_INFO={found['blas']}" in built
    assert found["mkl"] is None or f"Version {found['mkl']}" in built
    assert found["onednn"] is None or f"v{found['onednn']} (" in built


def test_onednn_turned_off_is_noticed(monkeypatch):
    before = fingerprint()
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert changed(before) == {"onednn"}


def test_precision_modes_are_asked_as_torch_has_them_now():
    before = fingerprint()
    assert torch.get_float32_matmul_precision() == "highest"
    try:
        torch.set_float32_matmul_precision("medium")
        assert changed(before) == {"onednn_matmul_precision"}
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_precision_set_by_the_newer_names_does_not_raise():
    """Torch raises where the older flag is read then; a script that sets one cost its trial."""
    matmul = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch has the older flags only")
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        with pytest.raises(RuntimeError, match="legacy and new APIs"):
            torch.get_float32_matmul_precision()
        assert fingerprint()["onednn_matmul_precision"] == "ieee"
    finally:
        matmul.fp32_precision = before
    assert torch.get_float32_matmul_precision() == "highest"


def test_flushed_denormals_are_noticed():
    before = fingerprint()
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    try:
        assert changed(before) == {"flush_denormal"}
    finally:
        torch.set_flush_denormal(False)


def test_autocast_and_the_default_number_format_are_noticed():
    before = fingerprint()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert differing_fields([before, fingerprint()]) == {"autocast": [False, "bfloat16"]}
    torch.set_default_dtype(torch.float64)
    try:
        assert changed(before) == {"default_dtype"}
    finally:
        torch.set_default_dtype(torch.float32)


def test_cuda_has_its_flags(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    before = fingerprint("cuda")
    assert before["device"] == "a GPU"
    assert set(before) - set(fingerprint()) == {
        *("cuda", "cudnn", "cudnn_benchmark", "cudnn_deterministic"),
        *("cuda_matmul_precision", "cudnn_conv_precision", "cudnn_rnn_precision"),
        *("fp16_reduced_sums", "bf16_reduced_sums", "cuda_blas"),
    }
    with torch.backends.cudnn.flags(benchmark=True, deterministic=True, allow_tf32=True):
        found = differing_fields([before, fingerprint("cuda")])
    assert found == {"cudnn_benchmark": [False, True], "cudnn_deterministic": [False, True]}


def test_the_processor_is_the_one_linux_names():
    information = Path("/proc/cpuinfo")
    if not information.exists():
        pytest.skip("this system has no /proc/cpuinfo")
    text = information.read_text()
    assert processor() in text
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE).group(1).split()
    assert instruction_sets()
    assert set(instruction_sets().split()) <= set(flags)
    assert ("avx2" in flags) == ("avx2" in instruction_sets().split())
