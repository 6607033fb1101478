"""A director whose agent is run by a real systemd, from the unit that is shipped.

systemd is process 1 of a process namespace, with the director's network, a /run of its own and the few units that it
cannot do without. Needs a machine whose /usr and /etc may be written to: the guest of scripts/lab.
"""

import os
import re
import shutil
import subprocess

from .daemon import binary, tail
from .net import inside, until

UNIT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../../../packaging/systemd/lbagent.service"))
STRICT = os.path.join(os.path.dirname(UNIT), "strict.conf")
UNITS = "/run/lab-units"

# What stands between process 1 and the agent on a usual machine, without what a usual machine does there.
MINIMAL = {
    "sysinit.target": "[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.service\n"
                      "After=systemd-journald.service\n",
    "basic.target": "[Unit]\nDefaultDependencies=no\nRequires=sysinit.target\nAfter=sysinit.target\n",
    "shutdown.target": "[Unit]\nDefaultDependencies=no\nRefuseManualStart=yes\n",
    "network-online.target": "[Unit]\n",
    "lab.target": "[Unit]\nRequires=basic.target\nAfter=basic.target\n",
}
LENT = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")

BOOT = f"""
set -e
mount -t tmpfs -o mode=755 run /mnt
mkdir -p "/mnt/${{0#/run/}}" /mnt/lab-units
mount --bind "$0" "/mnt/${{0#/run/}}"
mount -n --move /mnt /run
cp "$0"/units/* {UNITS}/
umount /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export container=lab SYSTEMD_UNIT_PATH={UNITS} SYSTEMD_LOG_TARGET=journal
exec /lib/systemd/systemd --system --unit=lab.target
"""


class Machine:
    """systemd in the place of `daemon`, one of the harness's daemons that is not started."""

    def __init__(self, world, daemon):
        self.world, self.daemon, self.node = world, daemon, daemon.node
        self.programs = 0
        self.log_path = os.path.join(world.dir, "systemd.log")
        self._install()
        with inside(self.node.name), open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--mount", "--cgroup", "--fork", "--kill-child", "--mount-proc", "--",
                 "bash", "-c", BOOT, world.dir],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        world.processes.append(self.process)
        self.first = until("systemd runs", self._first, within=10)
        until("systemd is up", lambda: self.run("systemctl", "is-active", "lab.target", check=False).strip() == "active",
              within=20)

    def _install(self):
        units = os.path.join(self.world.dir, "units")
        os.mkdir(units)
        for name, text in MINIMAL.items():
            with open(os.path.join(units, name), "w") as f:
                f.write(text)
        for path in (UNIT, *(f"/lib/systemd/system/{name}" for name in LENT)):
            with open(path) as source, open(os.path.join(units, os.path.basename(path)), "w") as f:
                f.write(source.read())
        for name, place in (("lbagent", "/usr/sbin"), ("lbctl", "/usr/bin")):
            place = os.path.join(place, name)
            if not os.path.exists(place):
                open(place, "w").close()
            subprocess.run(["mount", "--bind", binary(name), place], check=True)
        os.makedirs("/etc/lbagent", exist_ok=True)
        if os.path.lexists("/etc/lbagent/lbagent.conf"):
            os.unlink("/etc/lbagent/lbagent.conf")
        os.symlink(self.daemon.config_path, "/etc/lbagent/lbagent.conf")

    def _first(self):
        assert self.process.poll() is None, f"systemd ended:\n{self.log()}"
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            children = f.read().split()
        return children and os.path.exists(f"/proc/{children[0]}/root{UNITS}/lab.target") and int(children[0])

    def run(self, *argv, check=True, timeout=30):
        """Runs a command on the machine."""
        done = subprocess.run(["nsenter", "-t", str(self.first), "--mount", "--pid", "--net", "--cgroup", "--", *argv],
                              text=True, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, (
            f"{' '.join(argv)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}\n{self.journal()}")
        return done.stdout + done.stderr

    def systemctl(self, verb, check=True):
        return self.run("systemctl", verb, "lbagent.service", check=check)

    def shows(self, name):
        """A property of the unit."""
        return self.run("systemctl", "show", "--property", name, "--value", "lbagent.service").strip()

    def drop_in(self, path):
        """Adds a file to the unit."""
        self.run("install", "-D", "-m", "644", path, f"{UNITS}/lbagent.service.d/{os.path.basename(path)}")
        self.run("systemctl", "daemon-reload")

    def exposure(self, threshold):
        """How exposed the unit is; fails above the threshold (ten times that number)."""
        said = self.run("systemd-analyze", "security", "--no-pager", threshold, "lbagent.service")
        return said.strip().splitlines()[-1].strip("→ ")

    def main_pid(self):
        """The agent's process, by its number on the machine; 0 if there is none."""
        return int(self.shows("MainPID") or 0)

    def signal(self, name):
        self.run("kill", f"-{name}", str(self.main_pid()))

    def replace_program(self, name):
        """Another file at the agent's place, as an upgrade does it."""
        self.programs += 1
        copy = os.path.join(self.world.dir, f"lbagent-{name}-{self.programs}")
        shutil.copy(binary("lbagent"), copy)
        self.run("mount", "-n", "--bind", copy, "/usr/sbin/lbagent")

    def program(self):
        """The name of the file that the agent was started from."""
        mounts = self.run("cat", f"/proc/{self.main_pid()}/mountinfo")
        return re.findall(r"/(\S+) /usr/sbin/lbagent ", mounts)[-1].rsplit("/", 1)[-1]

    def began(self, pid):
        """When a process of the machine began, in seconds since the kernel's start."""
        stat = self.run("cat", f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
        return int(stat[19]) / os.sysconf("SC_CLK_TCK")

    def journal(self, lines=40):
        return self.run("journalctl", "--no-pager", "--output", "short-monotonic", "--no-hostname", "--unit", "lbagent.service", "--lines",
                        str(lines), check=False)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return tail(f.read())
