import kfp_schema as schema
import pytest
from kfp_server_api import RunServiceApi

RUN = {
    "display_name": "digits",
    "pipeline_version_reference": {"pipeline_id": "1", "pipeline_version_id": "2"},
    "runtime_config": {"parameters": {"epochs": 3}},
}
SCHEDULE = {
    "display_name": "digits",
    "max_concurrency": "1",
    "mode": "ENABLE",
    "trigger": {"cron_schedule": {"cron": "0 0 3 * * *", "start_time": "2026-11-22T05:00:00Z"}},
}


def test_what_follows_the_schema_is_taken():
    schema.check_body(RUN, "V2beta1Run")
    schema.check_body(SCHEDULE, "V2beta1RecurringRun")


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("V2beta1Run", RUN | {"displayName": "digits"}, "V2beta1Run has no 'displayName'"),
        ("V2beta1Run", RUN | {"run_id": "1"}, "body.run_id: is for the server to set"),
        ("V2beta1Run", RUN | {"display_name": ""}, "body.display_name: is required"),
        ("V2beta1Run", RUN | {"display_name": 3}, "body.display_name: 3 is no str"),
        ("V2beta1Run", RUN | {"runtime_config": {"parameters": []}}, "parameters: [] is no object"),
        ("V2beta1Run", RUN | {"pipeline_version_reference": {}}, "pipeline_id: is required"),
        ("V2beta1Run", [], "body: [] is no object"),
        ("V2beta1RecurringRun", SCHEDULE | {"max_concurrency": 1}, "max_concurrency: 1 is no str"),
        ("V2beta1RecurringRun", SCHEDULE | {"mode": "ON"}, "body.mode: 'ON' is none of"),
        ("V2beta1RecurringRun", SCHEDULE | {"no_catchup": 1}, "no_catchup: 1 is no bool"),
        (
            "V2beta1RecurringRun",
            SCHEDULE | {"trigger": {"cron": "* * * * *"}},
            "V2beta1Trigger has no 'cron'",
        ),
    ],
)
def test_what_does_not_is_refused(model, body, message):
    with pytest.raises(schema.SchemaError) as refusal:
        schema.check_body(body, model)
    assert message in str(refusal.value)


def test_unknown_parameter_of_an_operation_is_refused():
    schema.check_query({"page_size": "2", "filter": "{}"}, RunServiceApi.run_service_list_runs)
    with pytest.raises(schema.SchemaError, match=r"has no parameters \['pipeline_id'\]"):
        schema.check_query({"pipeline_id": "1"}, RunServiceApi.run_service_list_runs)
