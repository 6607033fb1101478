"""What a restart does not forget: the events before it."""

import json
import os

from harness.cases import case
from harness.daemon import OURS
from harness.net import until


@case("socket: events of before a stop and of before a kill -9 are still there", makes=(OURS,), group="socket")
def events_across_restarts(solo):
    def events():
        return solo.agent.ask({"op": "events", "limit": 1000})["data"]

    def numbers():
        return [event["seq"] for event in events()]

    before = events()
    last = before[-1]["seq"]
    assert any(event["event"]["what"] == "vrrp.master" for event in before), before
    solo.agent.stop()
    solo.agent.start()
    solo.settle()
    kinds = [event["event"]["what"] for event in events() if event["seq"] > last]
    assert "agent.stopping" in kinds and kinds.index("agent.stopping") < kinds.index("agent.started"), kinds
    # They are on disk some seconds after they happened; what is younger may be lost with the process.
    def on_disk():
        with open(os.path.join(solo.agent.state_dir, "events.json")) as f:
            return [event["seq"] for event in json.loads(json.load(f)["body"])]

    until("the last event is on disk", lambda: on_disk()[-1] == numbers()[-1], within=15)
    saved = on_disk()
    solo.agent.kill()
    solo.agent.start()
    solo.settle()
    until("the new run has told of its start", lambda: numbers()[-1] > saved[-1], within=10)
    now = numbers()
    assert now[:len(saved)] == saved and now == sorted(set(now)), f"{saved}, after the kill {now}"
    printed = solo.agent.ctl("events", "--since", "10m", "--limit", "1000", "-o", "jsonl")[1].splitlines()
    assert len(printed) >= len(now), f"{len(printed)} lines, {len(now)} events"
    return f"{len(saved)} of {len(now)} events are of earlier runs"
