import subprocess
import sys

import pytest

from components.training.threads import choose_threads_per_operation


@pytest.mark.parametrize(
    ("image_shape", "cores", "threads"),
    [((28, 28, 1), 2, 1), ((28, 28, 1), 1, 1), ((28, 28, 1), 8, 0), ((112, 112, 3), 2, 0)],
)
def test_only_small_images_on_few_cores_have_operations_of_one_thread(image_shape, cores, threads) -> None:
    assert choose_threads_per_operation(image_shape, cores=cores) == threads


def test_the_choice_holds_for_a_process() -> None:
    program = (
        "import os, tensorflow as tf\n"
        "from components.training.threads import set_threads_per_operation\n"
        "os.sched_getaffinity = lambda _: {0, 1}\n"
        "set_threads_per_operation((28, 28, 1))\n"
        "tf.ones([8, 8]) @ tf.ones([8, 8])\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["1"]
