#!/usr/bin/python3
"""Whom the example toyfleet.py ends, and whom it does not.

  toyfleet_test.py FOLDER

FOLDER holds it with ask.py and what they need. Ends with 77 where there is no python3-grpcio.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import grpc  # noqa: F401
except ImportError:
    print("there is no python3-grpcio")
    sys.exit(77)


def start_time(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


programs = pathlib.Path(sys.argv[1])
own = subprocess.Popen(["sleep", "100"])
foreign = subprocess.Popen(["sleep", "100"])
ended = subprocess.Popen(["true"])
ended.wait()
try:
    with tempfile.TemporaryDirectory() as folder:
        group = pathlib.Path(folder) / "web.json"
        group.write_text(json.dumps({
            "toy-own": {"port": 20000, "pid": own.pid, "since": start_time(own.pid)},
            "toy-foreign": {"port": 20001, "pid": foreign.pid, "since": "1"},  # has the number of one that ended
            "toy-ended": {"port": 20002, "pid": ended.pid, "since": "1"}}))
        asked = subprocess.run(
            ["/usr/bin/python3", programs / "ask.py", "--set", "0", '{"group": "web", "ports": [20000, 20099]}',
             "/usr/bin/python3", programs / "toyfleet.py", folder],
            capture_output=True, text=True, timeout=50, check=True)
        assert "SetCapacity: {" in asked.stdout, asked.stdout
        assert json.loads(group.read_text()) == {}, group.read_text()
        assert own.wait(timeout=20) == -15, "its own runs on"
        assert foreign.poll() is None, "a process was ended that is none of its own"
finally:
    own.kill()
    foreign.kill()
