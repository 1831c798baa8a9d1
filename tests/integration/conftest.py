"""Temporary."""
import os, uuid
import pytest
from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka

@pytest.fixture(scope="module", params=["embedded","real"])
def broker_settings(request, tmp_path_factory):
    d=tmp_path_factory.mktemp("state")
    pre=f"t{uuid.uuid4().hex[:8]}-"
    if request.param=="embedded":
        with EmbeddedBroker() as b:
            s=Settings(kafka_bootstrap_servers=b.address,embedded_broker=True,topic_prefix=pre,state_dir=d)
            kafka.ensure_topics(s,"test")
            yield s
    else:
        a=os.environ.get("T_KAFKA")
        if not a: pytest.skip("no T_KAFKA")
        s=Settings(kafka_bootstrap_servers=a,topic_prefix=pre,state_dir=d)
        kafka.ensure_topics(s,"test")
        yield s

@pytest.fixture
def fresh_settings(broker_settings,tmp_path):
    s=broker_settings.model_copy(update={"topic_prefix":f"t{uuid.uuid4().hex[:8]}-","state_dir":tmp_path/"state"})
    kafka.ensure_topics(s,"test")
    return s
