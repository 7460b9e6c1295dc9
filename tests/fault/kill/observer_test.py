#!/usr/bin/env python3
"""The observer must be able to fail: a small world in which all is right, then one thing at a time is
wrong. Processes, sockets and nginx's answers are real, the database has the daemon's tables."""
import http.server
import importlib.machinery
import importlib.util
import json
import os
import shutil
import socketserver
import sqlite3
import subprocess
import sys
import tempfile
import threading
import types
import unittest

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("observer", os.path.join(FOLDER, "observer"))
observer = importlib.util.module_from_spec(importlib.util.spec_from_loader("observer", loader))
loader.exec_module(observer)

# An instance: listens on a port that it tells, and perhaps has a child, until its input ends.
INSTANCE = """
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""
START = 1_700_000_000_000


class Nginx(http.server.BaseHTTPRequestHandler):
    peers = []

    def do_GET(self):
        body = json.dumps({"name": "web", "epoch": 1, "seq": 1, "peers": self.peers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class ObserverTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="observer-")
        self.service = f"observed-{os.getpid()}"
        self.children = []
        self.server = UnixServer(os.path.join(self.folder, "nginx"), Nginx)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.db = sqlite3.connect(os.path.join(self.folder, "autoscaled.db"))
        self.db.executescript("""
            CREATE TABLE daemon (epoch, last_now);
            CREATE TABLE services (name, desired, paused, policy_state, history);
            CREATE TABLE instances (service, id, phase, endpoint);
            CREATE TABLE decisions (id INTEGER PRIMARY KEY, service, at, desired_before,
                                    desired_after);
        """)
        self.execute("INSERT INTO daemon VALUES (7, ?)", START + 60_000)
        self.execute("INSERT INTO services VALUES (?, 2, 0, ?, ?)", self.service,
                     b"s11:evaluationsn40;s6:markers4:kept",
                     f"P{START} {START} 2 C{START} 2 O{START} ")
        self.execute("INSERT INTO decisions VALUES (1, ?, ?, 0, 2)", self.service, START)
        Nginx.peers = []
        for id in ("a", "b"):
            self.add_instance(id, self.spawn(id))

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        for child in self.children:
            child.stdin.close()
            child.stdout.close()
            child.wait()
        self.db.close()
        shutil.rmtree(self.folder)

    def execute(self, sql, *values):
        self.db.execute(sql, values)
        self.db.commit()

    def spawn(self, id, code=INSTANCE, session=True):
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, start_new_session=session,
                                 env={"AUTOSCALED_SERVICE": self.service,
                                      "AUTOSCALED_INSTANCE": id})
        self.children.append(child)
        return int(child.stdout.readline())

    def add_instance(self, id, port):
        self.execute("INSERT INTO instances VALUES (?, ?, 'serving', ?)", self.service, id,
                     f"127.0.0.1:{port}")
        os.makedirs(os.path.join(self.folder, "process", self.service, id))
        Nginx.peers.append({"host": "127.0.0.1", "port": port, "state": "serving"})

    def options(self, **changed):
        options = observer.parse_options([
            "--state", self.folder, "--service", self.service, "--expect", "2", "--gateway",
            os.path.join(self.folder, "nginx"), "--upstream", "web"])
        return types.SimpleNamespace(**{**vars(options), **changed})

    def faults(self, memory=None, **changed):
        return observer.judge(self.options(**changed), memory)[1]

    def assert_fault(self, text, memory=None, **changed):
        faults = self.faults(memory, **changed)
        self.assertTrue(any(text in fault for fault in faults), f"no '{text}' in {faults}")

    def remember(self):
        """What it saw, before the next start of the daemon."""
        world, faults = observer.judge(self.options(), None)
        self.assertEqual(faults, [])
        self.execute("UPDATE daemon SET epoch = epoch + 1")
        return json.loads(json.dumps(world.remember()))

    def retire(self, id, record=True):
        folder = os.path.join(self.folder, "process", self.service, ".gone", id)
        os.makedirs(folder)
        if record:
            open(os.path.join(folder, "record"), "w").close()

    # --- the fleet ---

    def test_finds_nothing_wrong_where_nothing_is(self):
        self.assertEqual(self.faults(), [])
        self.assertEqual(self.faults(self.remember(), changes=0), [])

    def test_counts(self):
        self.assert_fault("2 instances are stored, not 3", expect=3)
        self.assert_fault("desired is 2, not 3", expect=3)

    def test_orphan(self):
        self.spawn("c")
        self.assert_fault("an orphan runs: c")

    def test_orphaned_child_of_a_gone_instance(self):
        self.spawn("c", session=False)
        self.assert_fault("an orphan runs: c")

    def test_instance_started_twice(self):
        self.spawn("a")
        self.assert_fault("a runs 2 times")

    def test_row_without_a_process(self):
        self.children[0].stdin.close()
        self.children[0].wait()
        self.children[0].stdin = open(os.devnull)
        self.assert_fault("a has a row and no process")

    def test_phase(self):
        self.execute("UPDATE instances SET phase = 'draining' WHERE id = 'a'")
        self.assert_fault("a is draining")

    def test_ports(self):
        self.execute("UPDATE instances SET endpoint = '127.0.0.1:1' WHERE id = 'a'")
        self.assert_fault("and its row says 127.0.0.1:1")
        self.assert_fault("nginx sends to")
        self.execute("UPDATE instances SET endpoint = '127.0.0.1:1'")
        self.assert_fault("an endpoint is stored twice")

    def test_folders(self):
        os.mkdir(os.path.join(self.folder, "process", self.service, "c"))
        self.assert_fault("c has a folder and no row")

    def test_list(self):
        Nginx.peers[0]["state"] = "draining"
        self.assert_fault("nginx sends to")
        self.assert_fault("draining")
        del Nginx.peers[0]
        self.assert_fault("nginx sends to")

    def test_pause(self):
        self.assert_fault("paused is 0", paused=True)

    def test_leftovers_of_a_removed_service(self):
        self.assert_fault("a removed service still has a row", removed=True, expect=0)

    def test_damage(self):
        self.db.close()
        with open(os.path.join(self.folder, "autoscaled.db"), "r+b") as file:
            file.seek(20)
            file.write(b"garbage" * 20)
        self.db = sqlite3.connect(":memory:")
        self.assert_fault("cannot look: DatabaseError")

    # --- what was decided and remembered ---

    def decide(self, id, at, before, after, known=True):
        self.execute("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", id, self.service, at, before,
                     after)
        if known and before != after:
            self.execute("UPDATE services SET history = history || ?",
                         f"C{at} {after - before} {'O' if after > before else 'I'}{at} ")

    def test_cooldowns(self):
        self.decide(2, START + 1000, 2, 3)
        self.decide(3, START + 1500, 3, 2)
        self.assertEqual(self.faults(cooldown_up=1000, cooldown_down=500), [])
        self.assert_fault("decision 2 came 1000 ms after the last, not 1001", cooldown_up=1001)
        self.assert_fault("decision 3 came 500 ms after the last, not 501", cooldown_down=501)

    def test_a_lost_decision(self):
        self.decide(2, START + 1000, 3, 2)
        self.assert_fault("one is lost")
        self.assertEqual(self.faults(returned=True), [])

    def test_a_change_that_the_history_forgot(self):
        self.decide(2, START + 1000, 2, 2)
        self.decide(3, START + 2000, 2, 3, known=False)
        self.decide(4, START + 3000, 3, 2)
        self.assert_fault("the history knows the changes")

    def test_time(self):
        self.decide(2, START - 1, 2, 2)
        self.assert_fault("decision 2 is older than 1")
        memory = self.remember_anyway()
        self.execute("UPDATE daemon SET last_now = last_now - 1")
        self.assert_fault("time went back", memory)

    def remember_anyway(self):
        world, _ = observer.judge(self.options(), None)
        return json.loads(json.dumps(world.remember()))

    def test_decisions_of_before(self):
        memory = self.remember()
        self.execute("UPDATE decisions SET desired_before = 1, at = at + 1")
        self.assert_fault("its id was used again", memory)
        self.execute("DELETE FROM decisions")
        self.assert_fault("decision 1 is lost", memory)

    def test_number_of_changes(self):
        memory = self.remember()
        self.assert_fault("0 changes were decided, not 1", memory, changes=1)
        self.decide(2, START + 1000, 2, 3)
        self.decide(3, START + 2000, 3, 2)
        self.assertEqual(self.faults(memory, changes=2, not_before=START + 1000), [])
        self.assert_fault("decision 2 came 1 ms too early", memory, not_before=START + 1001)
        self.assert_fault("2 changes were decided, not 1", memory, changes=1)

    def test_epoch(self):
        memory = self.remember()
        self.assert_fault("epoch 8 does not follow 7", memory, same_epoch=True)
        memory["epoch"] = 8
        self.assert_fault("epoch 8 does not follow 8", memory)

    def test_policy_state(self):
        memory = self.remember()
        self.execute("UPDATE services SET policy_state = ?", b"s11:evaluationsn39;s6:markers4:kept")
        self.assert_fault("state.evaluations was 40.0 and is 39.0", memory)
        self.execute("UPDATE services SET policy_state = ?", b"")
        self.assert_fault("state.marker was kept and is None", memory)

    def test_history_of_before(self):
        memory = self.remember()
        self.execute("UPDATE services SET history = ''")
        self.assert_fault("the time of the last scale-out went back", memory)

    # --- what happened in between ---

    def test_instance_replaced(self):
        memory = self.remember()
        self.execute("UPDATE instances SET id = 'c' WHERE id = 'a'")
        self.assert_fault("a was lost on the way", memory)
        self.assertFalse([f for f in self.faults(memory, may_replace=True) if "on the way" in f])

    def test_instance_started_for_nothing(self):
        memory = self.remember()
        self.retire("c", record=False)  # never became a process
        self.assertEqual(self.faults(memory), [])
        self.retire("d")
        self.assert_fault("d was started and ended, for nothing", memory)
        self.assertEqual(self.faults(memory, may_fail_starts=True), [])

    def test_instance_started_on_the_way_in(self):
        memory = self.remember()
        memory["instances"] = ["x", "y", "z"]
        self.assert_fault("a was started on the way in", memory)
        self.retire("c")
        self.assert_fault("c was started and ended on the way in", memory)


if __name__ == "__main__":
    unittest.main()
