"""Look as KFP's launcher calls it, with what is really there to be looked at.

It has a process of its own where that matters: for what it prints, reads and imports.
"""

import json
import os
import pathlib
import shutil
from typing import Any

import pytest
from compiled import Compiled, Finished, compile_digits
from handed_over import given, write_keras_file, write_student, write_teacher
from PIL import Image

from components.serving.versions import Origin, Versions
from pipeline.retraining.ledger import Ledger, Tick

# Root may read everything, unless it gives that up.
AS_OTHERS_DO = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
HEAVY = {"tensorflow", "tfx", "keras", "apache_beam", "ml_metadata", "sklearn", "matplotlib", "kfp"}


@pytest.fixture
def pushed(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "pushed"


def deliver(photos: pathlib.Path, *, images: int = 6) -> None:
    """A few images of two classes."""
    for label in ("cat", "dog"):
        (photos / label).mkdir(parents=True)
        for number in range(images):
            shade = number * (5 if label == "cat" else 12)
            Image.new("L", (8, 8), shade).save(photos / label / f"{number}.png")


@pytest.fixture
def photos(tmp_path: pathlib.Path) -> pathlib.Path:
    deliver(tmp_path / "photos/7")
    return tmp_path / "photos"


@pytest.fixture
def pipeline(tmp_path: pathlib.Path, photos: pathlib.Path) -> Compiled:
    """Students that start from the one that ships, and a teacher that may be kept, on data in spans."""
    del photos
    # Compiled once for all tests, which give their own directories as parameters of a run.
    return compile_digits(
        "data={source: image_folder, path: '/data/{SPAN}', window: 2}",
        "retraining={student_start: champion, keep_teacher: {min_accuracy: 0.9}}",
    )


def page_of(cluster: "Cluster", seen: Finished) -> str:
    """What a reader of Kubeflow's page sees."""
    (page,) = seen.output["artifacts"]["news"]["artifacts"]
    return (cluster.directory / page["uri"].replace("://", "/")).read_text()


class Cluster:
    """A place where runs look and push."""

    def __init__(self, pipeline: Compiled, directory: pathlib.Path) -> None:
        self.pipeline, self.directory = pipeline, directory
        self.pushed = directory / "pushed"
        self.given = {"data_location": f"{directory}/photos/{{SPAN}}", "push_directory": str(self.pushed)}

    def look(self, run: str, *, in_a_process: bool = False, **given: Any) -> Finished:
        """Looks in a run that must not fail, in this process or in one of its own."""
        start = self.pipeline.run if in_a_process else self.pipeline.run_here
        seen = start("Look", self.directory, run=run, given=self.given | given)
        assert seen.code == 0, seen.err
        # KFP's driver stops a node that waits for an output that is not there.
        assert set(seen.parameters) == set(self.pipeline.component("Look")["outputDefinitions"]["parameters"])
        return seen

    def push(self, run: str, told: Any, *, weights: bytes = b"one", blessed: bool = True) -> Finished:
        """Runs the Pusher of a run, in this process, on a student that was compared with what Look told."""
        write_student(self.directory, weights, compared_with=told["incumbent_version"])
        write_teacher(self.directory, b"of the teacher of " + weights)
        artifacts = {
            "model": given("model"),
            "evaluation": given("evaluation"),
            "model_blessing": given("blessing", blessed=int(blessed)),
            "teacher": given("teacher"),
            "teacher_run": given("teacher_run"),
        }
        return self.pipeline.run_here(
            "Pusher", self.directory, run=run, told=told, given=self.given, artifacts=artifacts
        )

    def ticks(self) -> list[Tick]:
        """The ledger."""
        return Ledger(self.pushed, "digits").ticks()

    def reruns(self, before: Any, after: Any) -> set[str]:
        """The nodes that KFP's cache has for a run that was told one thing, and not for another."""
        old, new = (
            self.pipeline.cache_keys(told=told.parameters, given=self.given) for told in (before, after)
        )
        return {node for node in new if new[node] != old[node]}


@pytest.fixture
def cluster(pipeline: Compiled, tmp_path: pathlib.Path) -> Cluster:
    return Cluster(pipeline, tmp_path)


def push_from_elsewhere(cluster: Cluster) -> str:
    """Another experiment pushes to the same directory."""
    student = cluster.directory / "other"
    student.mkdir()
    (student / "saved_model.pb").touch()
    return Versions(cluster.pushed).push(student, origin=Origin(reason="of another run")).version


def changed(before: Finished, after: Finished) -> set[str]:
    """The names of what is told otherwise, but for the tick, which is another in each run."""
    assert set(before.parameters) == set(after.parameters)
    return {name for name in after.parameters if after.parameters[name] != before.parameters[name]} - {"tick"}


def test_a_run_is_told_what_is_there(cluster: Cluster) -> None:
    seen = cluster.look("a", in_a_process=True)

    assert seen.parameters["newest_span"] == "7"
    assert [seen.parameters[name] for name in ("incumbent_version", "start_version", "kept_teacher")] == [
        "none"
    ] * 3
    (tick,) = cluster.ticks()
    assert (tick.run, tick.experiment, tick.spans, tick.ended) == ("a", "digits", ("7",), None)
    assert tick.data == seen.parameters["data_fingerprint"]
    assert json.loads(seen.parameters["tick"]) == json.loads(
        (cluster.pushed / "ledger.jsonl").read_text().splitlines()[-1]
    )
    (page,) = seen.output["artifacts"]["news"]["artifacts"]
    assert page["uri"] == "minio://mlpipeline/v2/artifacts/digits/a/Look/a4963ae8/news"
    assert page_of(cluster, seen) == (
        "Something is new: no student has been judged here before.\n\nSpans: 7\n"
    )


def test_the_same_again_is_told_the_same(cluster: Cluster) -> None:
    seen, *others = (cluster.look(run, in_a_process=run != "c") for run in "abc")

    assert [changed(seen, other) for other in others] == [set()] * 2


def test_a_changed_image_changes_the_fingerprint_of_the_data_alone(
    cluster: Cluster, photos: pathlib.Path
) -> None:
    before = cluster.look("a")
    Image.new("L", (8, 8), 77).save(photos / "7/cat/0.png")
    after = cluster.look("b")

    assert changed(before, after) == {"data_fingerprint"}
    assert cluster.reruns(before, after) == set(cluster.pipeline.tasks) - {"Look"}


def test_the_newest_span_is_named_to_example_gen(cluster: Cluster, photos: pathlib.Path) -> None:
    before = cluster.look("a")
    deliver(photos / "8")
    after = cluster.look("b")
    named = cluster.look("c", span="7")

    assert after.parameters["newest_span"] == "8"
    assert changed(before, after) == {"data_fingerprint", "newest_span"}
    assert [tick.spans for tick in cluster.ticks()] == [("7",), ("7", "8"), ("7",)]
    assert changed(before, named) == set()
    values = cluster.pipeline.values("ExampleGen", told=after.parameters, given=cluster.given)
    assert values["newest_span"] == "8"
    assert "data.span=newest_span" in cluster.pipeline.container("ExampleGen")["args"]


@pytest.mark.parametrize(
    ("compiled", "given", "newest", "pinned"),
    [("/data/{SPAN}", "many/7", "", None), ("/data", "many/{SPAN}", "7", "7")],
)
def test_a_run_may_name_one_folder_in_place_of_spans_and_the_other_way_round(
    tmp_path: pathlib.Path, compiled: str, given: str, newest: str, pinned: str | None
) -> None:
    deliver(tmp_path / "many/7", images=20)
    cluster = Cluster(compile_digits(f"data={{source: image_folder, path: '{compiled}'}}"), tmp_path)
    cluster.given = {"data_location": f"{tmp_path}/{given}"}

    seen = cluster.look("a")

    assert seen.parameters["newest_span"] == newest
    properties = cluster.pipeline.exec_properties("ExampleGen", told=seen.parameters, given=cluster.given)
    data = json.loads(properties["data"])
    assert (data["path"], data["span"]) == (cluster.given["data_location"], pinned)


def test_whoever_reads_what_ships_runs_again_when_another_ships(cluster: Cluster) -> None:
    before = cluster.look("a")
    version = push_from_elsewhere(cluster)
    after = cluster.look("b")

    assert changed(before, after) == {"incumbent_version", "start_version"}
    assert after.parameters["incumbent_version"] == after.parameters["start_version"] == version
    plain, others = compile_digits(), ("data_fingerprint", "teacher_files", "student_files", "tick")
    told = ({"incumbent_version": each, **dict.fromkeys(others, "x")} for each in ("none", version))
    first, second = (plain.cache_keys(told=each) for each in told)
    assert {node for node in first if first[node] != second[node]} == {
        "ExampleValidator",
        "Evaluator",
        "Pusher",
    }


def test_where_nothing_is_new_all_comes_from_the_cache_though_a_student_was_pushed(cluster: Cluster) -> None:
    first = cluster.look("a")
    assert cluster.push("a", first.parameters).code == 0
    (pushed,) = cluster.ticks()
    again = cluster.look("b")
    once_more = cluster.look("c")

    assert (pushed.outcome, pushed.spans) == ("pushed", ("7",))
    assert pushed.as_it_began() == Tick.from_line(first.parameters["tick"])
    assert again.parameters == once_more.parameters == first.parameters
    assert cluster.reruns(first, again) == set()
    assert Versions(cluster.pushed).shipping() == pushed.version
    sentence = f"Nothing new: data, code and configuration are those of {pushed.began}."
    assert again.out == f"[result] {sentence}\n"
    # Nor does it matter what ships by now.
    push_from_elsewhere(cluster)
    assert cluster.look("d").parameters == first.parameters
    noted = cluster.ticks()[-2]
    assert (noted.run, noted.outcome, noted.reason, noted.spans) == ("c", "nothing new", sentence, ("7",))
    assert noted.fingerprints == pushed.fingerprints
    assert noted.ended is not None


def test_what_a_lost_cache_has_trained_again_is_not_pushed_where_nothing_is_new(cluster: Cluster) -> None:
    first = cluster.look("a")
    cluster.push("a", first.parameters)
    again = cluster.look("b")
    before = cluster.ticks()
    history = Versions(cluster.pushed).history()

    idle = cluster.push("b", again.parameters, weights=b"of another GPU")

    assert idle.code == 0
    assert idle.out == "Nothing is new: nothing is pushed.\n"
    (model,) = idle.output["artifacts"]["pushed_model"]["artifacts"]
    assert model["metadata"] == {"pushed": 0}
    assert Versions(cluster.pushed).history() == history
    assert cluster.ticks() == before


def test_a_refused_student_is_not_judged_again_until_something_is_new(
    cluster: Cluster, photos: pathlib.Path
) -> None:
    first = cluster.look("a")
    cluster.push("a", first.parameters, blessed=False)
    again = cluster.look("b")
    deliver(photos / "8")
    new = cluster.look("c")

    assert [tick.outcome for tick in cluster.ticks()] == ["refused", "nothing new", None]
    assert cluster.reruns(first, again) == set()
    assert changed(again, new) == {"data_fingerprint", "newest_span"}


def test_a_parameter_of_the_run_is_a_setting(cluster: Cluster) -> None:
    first = cluster.look("a")
    cluster.push("a", first.parameters)
    other = cluster.look("b", teacher_epochs=3.0, distilled_temperature=2.0)
    same = cluster.look("c", teacher_epochs=30.0, distilled_temperature=1.0)

    assert [tick.outcome for tick in cluster.ticks()] == ["pushed", None, "nothing new"]
    assert "configuration changed since" in page_of(cluster, other)
    assert same.parameters == first.parameters


def test_who_was_overtaken_only_compares_anew(cluster: Cluster) -> None:
    cluster.push("first", cluster.look("first").parameters, weights=b"the first")
    deliver(cluster.directory / "photos/8")
    overtaken = cluster.look("a")
    other = push_from_elsewhere(cluster)
    failed = cluster.push("a", overtaken.parameters, weights=b"late")
    next_ = cluster.look("b")

    assert failed.code == 2
    assert f"but version {other} ships by now; run again" in failed.err
    stopped = cluster.ticks()[1]
    assert (stopped.outcome, stopped.student, stopped.spans) == ("stopped", None, ("7", "8"))
    assert changed(overtaken, next_) == {"incumbent_version"}
    assert next_.parameters["incumbent_version"] == other
    assert cluster.reruns(overtaken, next_) == {"ExampleValidator", "Evaluator", "Pusher"}
    assert cluster.push("b", next_.parameters, weights=b"late").code == 0
    assert cluster.ticks()[-1].outcome == "pushed"


def test_who_was_overtaken_still_only_compares_anew_after_a_run_that_died(cluster: Cluster) -> None:
    cluster.push("first", cluster.look("first").parameters, weights=b"the first")
    deliver(cluster.directory / "photos/8")
    overtaken = cluster.look("a")
    push_from_elsewhere(cluster)
    cluster.push("a", overtaken.parameters, weights=b"late")
    cluster.look("died")
    next_ = cluster.look("c")

    assert changed(overtaken, next_) == {"incumbent_version"}


def test_a_second_attempt_notes_the_same_and_a_run_that_died_is_no_verdict(cluster: Cluster) -> None:
    first, second = cluster.look("a"), cluster.look("a")
    next_ = cluster.look("b")

    assert changed(first, second) == changed(second, next_) == set()
    assert [(tick.run, tick.outcome) for tick in cluster.ticks()] == [("a", None), ("b", None)]
    cluster.push("b", next_.parameters)
    assert [cluster.look("c").out, cluster.look("c").out] == [
        f"[result] Nothing new: data, code and configuration are those of {cluster.ticks()[1].began}.\n"
    ] * 2
    assert [tick.run for tick in cluster.ticks()] == ["a", "b", "c"]


def test_a_run_that_a_laptop_has_judged_is_not_what_the_cache_knows(cluster: Cluster) -> None:
    seen = cluster.look("a")
    tick = Tick.from_line(seen.parameters["tick"])
    shutil.rmtree(cluster.pushed)
    line = tick.to_line().replace('"student": null', '"student": 0.9')
    content = {key: value for key, value in json.loads(line).items() if key != "seen"}
    cluster.pushed.mkdir()
    (cluster.pushed / "ledger.jsonl").write_text(json.dumps(content) + "\n")

    again = cluster.look("b")

    assert changed(seen, again) == set()
    assert "the last run that was judged was none on Kubeflow" in page_of(cluster, again)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"span": "8"}, "photos/{SPAN}', but span 8 is missing; add images, or "),
        ({"span": "soon"}, "A parameter of the run cannot be used: span: got 'soon'; must be a whole number"),
        ({"span": "[[Index]]"}, "The parameter span of the run is '[[Index]]', as written: "),
        ({"data_location": "/nowhere/{SPAN}"}, "but there is no folder of such a name; add one."),
        ({"teacher_epochs": 0.0}, "A parameter of the run cannot be used: teacher_epochs: got 0; "),
        ({"student_epochs": 0.0}, "A parameter of the run cannot be used: student_epochs: got 0; "),
        ({"distilled_temperature": -1.0}, "cannot be used: distilled_temperature: got -1.0; "),
        (
            {"student_epochs": 2.5},
            "The parameter student_epochs of the run cannot be used: got 2.5; it must be a whole number; ",
        ),
    ],
)
def test_what_cannot_be_used_stops_the_run_and_is_noted(
    cluster: Cluster, given: dict[str, Any], message: str
) -> None:
    stopped = cluster.pipeline.run("Look", cluster.directory, run="a", given=cluster.given | given)

    assert (stopped.code, stopped.out, stopped.output) == (2, "", {})
    assert message in stopped.err
    assert stopped.err.count("\n") == 1
    (tick,) = cluster.ticks()
    assert (tick.run, tick.outcome, tick.reason) == ("a", "stopped", stopped.err.strip())
    assert tick.ended is not None
    # It is no verdict: the same data is new afterwards.
    assert cluster.look("b").parameters["newest_span"] == "7"


def test_one_folder_in_place_of_a_window_of_spans_is_refused_as_what_it_is(cluster: Cluster) -> None:
    one = {"data_location": str(cluster.directory / "photos/7")}

    stopped = cluster.pipeline.run("Look", cluster.directory, run="a", given=cluster.given | one)

    assert stopped.code == 2
    assert stopped.err == (
        "The parameters of the run do not go with the configuration: data.window: got 2; data.path is one "
        "folder; put {SPAN} or {YYYY}-{MM}-{DD} into it where its spans differ; correct them and run again.\n"
    )


def test_an_architecture_that_the_image_lacks_is_no_fault_of_a_parameter(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_where_it_is_compiled.py").write_text("def net(*, image_shape, num_classes): ...\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        pipeline = compile_digits("teacher.architecture=only_where_it_is_compiled:net")

    alone = pipeline.run("Look", tmp_path, run="a", given={"push_directory": str(tmp_path / "pushed")})
    parameter_too = pipeline.run("Look", tmp_path, run="b", given={"student_epochs": 0.0})

    reason = (
        "The image of this node cannot use the configuration: teacher.architecture: got "
        "'only_where_it_is_compiled:net'; names module 'only_where_it_is_compiled', which is not on the "
        "Python path; install it or run from its folder; both kubeflow.image and kubeflow.gpu_image need "
        "its module."
    )
    assert (alone.code, alone.err) == (2, f"{reason}\n")
    (tick,) = Ledger(tmp_path / "pushed", "digits").ticks()
    assert (tick.outcome, tick.reason) == ("stopped", reason)
    assert parameter_too.err.startswith("A parameter of the run cannot be used: student_epochs: got 0; ")
    assert "architecture" not in parameter_too.err


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("photos/7/cat", "photos/7/cat' may not be read; change its permissions."),
        ("pushed", "pushed', which cannot be read (Permission denied); see to it that it can."),
    ],
)
def test_a_directory_that_may_not_be_read_stops_the_run(cluster: Cluster, folder: str, message: str) -> None:
    cluster.look("a")
    (cluster.directory / folder).chmod(0)

    stopped = cluster.pipeline.run(
        "Look", cluster.directory, run="b", given=cluster.given, prefix=AS_OTHERS_DO
    )

    (cluster.directory / folder).chmod(0o755)
    assert stopped.code == 2
    assert stopped.err.endswith(f"{message}\n")
    assert stopped.err.count("\n") == 1
    outcomes = [tick.outcome for tick in cluster.ticks()]
    assert outcomes == ([None] if folder == "pushed" else [None, "stopped"])


def test_a_push_directory_that_cannot_be_written_stops_the_run(cluster: Cluster) -> None:
    cluster.pushed.write_text("a file")

    stopped = cluster.pipeline.run("Look", cluster.directory, run="a", given=cluster.given)

    assert stopped.code == 2
    assert stopped.err.count("\n") == 1
    assert f"{cluster.pushed}" in stopped.err


def test_without_a_push_directory_nothing_ships_and_nothing_is_noted(
    cluster: Cluster, photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    cluster.given = {"data_location": cluster.given["data_location"]}
    before, same = cluster.look("a"), cluster.look("b")
    Image.new("L", (8, 8), 77).save(photos / "7/cat/0.png")
    after = cluster.look("c")

    assert changed(before, same) == set()
    assert cluster.reruns(before, same) == {"Pusher"}  # Which knows of no verdict before.
    assert changed(before, after) == {"data_fingerprint"}
    # Each node looks into its own: what an earlier run has left where Pusher pushes is no surprise to it.
    assert before.parameters["incumbent_version"] == ""
    assert list(tmp_path.rglob("ledger.jsonl")) == []


def test_a_push_directory_in_an_object_store(cluster: Cluster, bucket: str) -> None:
    cluster.given["push_directory"] = bucket
    first = cluster.look("a")
    cluster.push("a", first.parameters)
    again = cluster.look("b")

    assert again.parameters == first.parameters
    assert [tick.outcome for tick in Ledger(bucket, "digits").ticks()] == ["pushed", "nothing new"]


def test_a_file_of_a_teacher_that_is_not_there_stops_the_run(tmp_path: pathlib.Path) -> None:
    pipeline = compile_digits(f"teacher={{predictions: {tmp_path}/teacher.npz}}")

    missing = pipeline.run("Look", tmp_path, run="a")

    assert missing.code == 2
    assert f"{tmp_path}/teacher" in missing.err
    assert missing.err.count("\n") == 1


def test_a_changed_file_of_a_student_changes_what_its_trainings_are_told(tmp_path: pathlib.Path) -> None:
    student = tmp_path / "student.keras"
    write_keras_file(student, weights=b"one")
    pipeline = compile_digits(
        f"student={{from: {student}, epochs: 1, batch_size: 8, learning_rate: 0.1}}",
        f"teacher={{from: {student}}}",
    )

    before = pipeline.run_here("Look", tmp_path, run="a")
    write_keras_file(student, weights=b"two")
    after = pipeline.run_here("Look", tmp_path, run="b")

    assert (before.code, after.code) == (0, 0), before.err
    assert changed(before, after) == {"student_files", "teacher_files"}
    old, new = (pipeline.cache_keys(told=each.parameters) for each in (before, after))
    assert {node for node in new if new[node] != old[node]} == {
        *("Teacher", "TeacherPredictions", "Scratch", "Distiller-distilled", "Evaluator", "Pusher")
    }


def test_looking_takes_little(cluster: Cluster) -> None:
    seen = cluster.pipeline.run(
        "Look", cluster.directory, run="a", given=cluster.given, options=("-X", "importtime")
    )

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in seen.err.splitlines()}
    assert "pydantic" in imported
    assert not imported & HEAVY
