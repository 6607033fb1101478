"""What Prometheus gets, from lbctl and from the loopback port of a real agent."""

import http.client
import re
import socket
import time

from harness.cases import case
from harness.daemon import OURS
from harness.net import inside, until
from harness.solo import METRICS_PORT


def declare(title):
    return case(f"socket: {title}", makes=(OURS,), group="socket")


def scrape(solo, method="GET", path="/metrics"):
    """The answer of the metrics port: status and text."""
    with inside(solo.agent.node.name):
        connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=5)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def values(page, name):
    """The samples of a name: labels (without quotes) to number."""
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.M)
    return {labels.replace('"', ""): float(value) for labels, value in found}


@declare("the metrics of lbctl and of the port are those of the kernel")
def same_page(solo):
    status, page = scrape(solo)
    assert status == 200, status
    weights = values(page, "lbagent_server_weight")
    in_kernel = {address.split(":")[0]: weight for address, (weight, *_) in solo.agent.node.servers().items()}
    shown = {labels.split("server=")[1].split(",")[0]: weight
             for labels, weight in weights.items() if labels.endswith("kind=effective")}
    assert shown == in_kernel, f"{shown}, in the kernel {in_kernel}"
    state = values(page, "lbagent_vrrp_state")
    assert [labels for labels, bit in state.items() if bit] == [
        "vrrp_instance=VI_int,interface=eth0,vrid=51,family=inet,state=master"], state

    def failed():
        results = values(scrape(solo)[1], "lbagent_check_results_total")
        return results.get("service=web,type=TCP_CHECK,result=failed", 0)

    before = failed()
    until("failed checks are counted", lambda: failed() > before, within=10)
    names = set(re.findall(r"^# TYPE (\S+)", page, re.M))
    printed = set(re.findall(r"^# TYPE (\S+)", solo.agent.ctl("metrics")[1], re.M))
    assert names <= printed, names - printed
    assert scrape(solo, path="/")[0] == 404 and scrape(solo, method="POST")[0] == 405


@declare("clients that hold the metrics port do not keep VRRP waiting")
def held(solo):
    sent = "vrrp_instance=VI_int,direction=sent"
    before, began = values(solo.agent.ctl("metrics")[1], "lbagent_vrrp_adverts_total")[sent], time.monotonic()
    silent = []
    with inside(solo.agent.node.name):
        for _ in range(20):
            s = socket.create_connection(("127.0.0.1", METRICS_PORT), timeout=5)
            s.sendall(b"GET /metrics HTTP/1.1\r\n")
            silent.append(s)
    time.sleep(2)
    after = values(solo.agent.ctl("metrics")[1], "lbagent_vrrp_adverts_total")[sent]
    passed = time.monotonic() - began
    for s in silent:
        s.close()
    assert after - before >= int(passed) - 1, f"{after - before} adverts in {passed:.1f} s"

    def free():
        try:
            return scrape(solo)[0] == 200
        except OSError:
            return False  # the places are not free yet

    until("the port answers again", free, within=10)
