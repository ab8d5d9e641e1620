"""
Whatever happens to Redis, clients notice nothing, the trail tells of one outage, and afterwards all is as before. The figures are
those of redis_faults.py; here the bound is generous, for a machine that does other things as well.
"""
import pytest
import redis_faults

from support.broker import SLOWNESS

MARGIN_MS = 30 * SLOWNESS
TRIES = 3


@pytest.fixture
def stage(tmp_path):
    stage = redis_faults.Stage(tmp_path)
    yield stage
    stage.close()
    stage.trail.validate()


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.parametrize("name", redis_faults.FAULTS)
def test_clients_notice_nothing(stage, name):
    fault, runs = redis_faults.FAULTS[name], []
    for tries in range(1, TRIES + 1):
        without, during, recovery = redis_faults.run(stage, fault)
        runs.append((without, during))
        assert stage.client.connected and recovery < 10 * SLOWNESS
        told = redis_faults.story(stage.trail)
        if not fault.reasons:
            assert told == []
        elif name == "flapping":
            assert told[::2] == ["down store_refused"] * (len(told) // 2) and told[1::2] == ["up"] * (len(told) // 2)
            assert 1 <= len(told) // 2 <= 10 * tries, "the pauses between attempts must grow"
        else:
            assert told[::2] == [f"down {fault.reasons[0]}"] * tries and told[1::2] == ["up"] * tries, told
        if during < without + MARGIN_MS:
            break
    else:
        pytest.fail(f"largest gaps without and with the fault: {runs} ms")
    print(f"{name}: largest gap {without:.1f} ms without, {during:.1f} ms with the fault")
    assert not stage.trail.events("policy-reload", event__outcome="failure")
