"""`auth_hmac`: signed adverts between two agents; Debian's keepalived does not know it yet.

    high  10.20.0.1, priority 150        low  10.20.0.2, priority 100        stranger  10.20.0.3
"""

import json
import os
import socket
import struct
import time

from harness.cases import Group, case
from harness.daemon import OURS, daemon, tail
from harness.net import World, inside, stays, until

KEYS = {1: "11" * 32, 2: "22" * 32}
GROUP = "224.0.0.18"


class Signed(World):
    """The pair and somebody who has no key."""

    def __init__(self, make):
        super().__init__()
        try:
            switch = self.switch()
            self.pair = []
            for which, host, priority in (("high", 1, 150), ("low", 2, 100)):
                node = self.node(which)
                self.plug(switch, node, f"10.20.0.{host}/24")
                for key, text in KEYS.items():
                    path = self.key(which, key)
                    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                        f.write(f"hex:{text}\n")
                self.pair.append(daemon(make, node, self.config(which, priority, [1], 1)))
            self.high, self.low = self.pair
            self.stranger = self.node("stranger")
            self.plug(switch, self.stranger, "10.20.0.3/24")
            for director in self.pair:
                director.start()
            self.settled()
        except BaseException:
            self.__exit__()
            raise

    def key(self, which, key):
        return f"{self.dir}/{which}-key-{key}"

    def config(self, which, priority, keys, active):
        lines = "\n        ".join(f"key {it} file:{self.key(which, it)}" for it in keys)
        return f"""\
vrrp_instance VI_1 {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    version 3
    priority {priority}
    advert_int 0.4
    virtual_ipaddress {{
        10.20.0.100/24
    }}
    auth_hmac {{
        {lines}
        active_key {active}
    }}
}}
"""

    def settled(self):
        until("high is MASTER and low BACKUP", lambda: [self.state(it) for it in self.pair] == ["master", "backup"])

    def instances(self, director):
        answer = director.ask({"op": "vrrp"})
        assert answer.get("ok"), answer
        return answer["data"]

    def state(self, director):
        """None: it has not read its file yet."""
        return next((it["state"] for it in self.instances(director)), None)

    def logs(self):
        return "\n".join(f"  {d.label}:\n{tail(d.log())}" for d in self.pair)


Group.fixture("signed", Signed)


def counters(director):
    """Adverts refused, by reason, and how often it changed its state."""
    _, text, _ = director.ctl("metrics")
    refused, changes = {}, 0
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("lbagent_vrrp_adverts_rejected_total") and float(value) > 0:
            refused[name.split('reason="')[1].split('"')[0]] = int(float(value))
        if name.startswith("lbagent_vrrp_transitions_total"):
            changes += int(float(value))
    return refused, changes


def forged(priority):
    """An advert of version 3 without signature."""
    body = struct.pack("!BBBBHH4s", 0x31, 51, priority, 1, 20, 0, socket.inet_aton("10.20.0.100"))
    total = sum(struct.unpack("!6H", body))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return body[:6] + struct.pack("!H", ~total & 0xffff) + body[8:]


def say(node, packets):
    with inside(node.name), socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as s:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
        for packet in packets:
            s.sendto(packet, (GROUP, 0))


def hear(node, count):
    """The next adverts on the link, whole."""
    packets = []
    with inside(node.name), socket.socket(socket.AF_INET, socket.SOCK_RAW, 112) as s:
        member = struct.pack("4s4si", socket.inet_aton(GROUP), b"\0" * 4, socket.if_nametoindex("eth0"))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        s.settimeout(5)
        while len(packets) < count:
            packet = s.recv(4096)
            packets.append(packet[(packet[0] & 15) * 4:])
    return packets


@case("forged adverts, unsigned or replayed, move nothing and are told of with the reason", makes=(OURS,))
def forgery(pair):
    heard = hear(pair.stranger, 2)
    assert all(len(packet) == 12 + 28 and packet[12:14] == b"\1\1" for packet in heard), [p.hex() for p in heard]
    last = struct.unpack("!I", heard[1][16:20])[0]
    assert abs(last - time.time()) < 5, f"signed at {last}, it is {time.time()}"
    wrong = heard[1][:-1] + bytes([heard[1][-1] ^ 1])
    say(pair.stranger, [forged(255), forged(0), wrong, *heard])
    stays("nobody moves", lambda: [pair.state(it) for it in pair.pair] == ["master", "backup"], 0.6)
    for director in pair.pair:
        refused, _ = counters(director)
        # The pseudo-header holds the sender's address: from another one not even a replay fits.
        assert refused.get("unsigned") == 2 and refused.get("signature") == 3, f"{director.label}: {refused}"
        said = " ".join(director.ctl("why", "VI_1")[1].split())
        assert "Adverts of 10.20.0.3 do not count" in said and "its signature does not fit" in said, said
    return "2 unsigned, 1 damaged, 2 replayed: refused by both"


@case("a failover and the way back, with signed adverts and numbers that go on", makes=(OURS,))
def failover(pair):
    before = hear(pair.stranger, 1)[0][16:24]
    pair.high.kill()
    until("low is MASTER", lambda: pair.state(pair.low) == "master", within=5)
    pair.high.start()
    pair.settled()
    after = hear(pair.stranger, 1)[0][16:24]
    assert after > before, f"{before.hex()} then {after.hex()}"
    refused, _ = counters(pair.high)
    assert not refused, str(refused)


@case("keys are rotated in three reloads of each node; no master is lost and no advert refused", makes=(OURS,))
def rotation(pair):
    changes = [counters(director)[1] for director in pair.pair]
    refused = [counters(director)[0] for director in pair.pair]
    for keys, active in (([1, 2], 1), ([1, 2], 2), ([2], 2)):
        for director, priority in ((pair.low, 100), (pair.high, 150)):
            director.configure(pair.config(director.label, priority, keys, active))
            director.ctl("reload",)
            time.sleep(0.1)
    assert [packet[13] for packet in hear(pair.stranger, 2)] == [2, 2], "key 2 signs"
    now = [counters(director)[1] for director in pair.pair]
    assert changes == now, f"{changes} then {now}"
    now = [counters(director)[0] for director in pair.pair]
    assert refused == now, f"{refused} then {now}"
    assert [pair.state(it) for it in pair.pair] == ["master", "backup"]


@case("a key is in no log, no answer and no file of the agent's", makes=(OURS,))
def secrecy(pair):
    told = [pair.high.log(), json.dumps(pair.high.ask({"op": "show", "targets": ["VI_1"]}))]
    told += [pair.high.ctl(*words)[1] for words in (("config", "show"), ("vrrp",), ("events",))]
    for folder in (pair.high.run_dir, pair.high.state_dir):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    told.append(f.read().decode("latin-1"))
    assert not any(text in it for it in told for text in KEYS.values())
    # A key in the file itself, and a reload that changes it.
    text = pair.config("high", 150, [], 2).replace("auth_hmac {\n", f"auth_hmac {{\n        key 2 hex:{KEYS[2]}\n")
    pair.high.configure(text)
    for words in (("reload", "--dry-run"), ("config", "diff"), ("reload",), ("config", "show")):
        _, out, err = pair.high.ctl(*words, check=False)
        assert KEYS[2] not in out + err, f"{words}: {out}{err}"
    assert KEYS[2] not in pair.high.log()
