#!/usr/bin/python3
"""A provider plugin for autoscaled: a toy fleet of local HTTP servers, remembered in a JSON file.

  autoscaled.yaml      plugins: {toy: {command: [/usr/lib/autoscaled/plugins/toyfleet.py, /var/lib/toy]}}
  services.d/web.yaml  provider: {type: toy, group: web, ports: [20000, 20099]}

Needs python3-grpcio, python3-protobuf and, beside this file, what is generated of the contract:
  protoc -I proto/autoscale/v1 -I proto/grpc/health/v1 -I proto/plugin --python_out=. --grpc_out=. \
      --plugin=protoc-gen-grpc=/usr/bin/grpc_python_plugin provider.proto health.proto grpc_controller.proto
"""
import concurrent.futures
import contextlib
import fcntl
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import grpc
import grpc_controller_pb2
import grpc_controller_pb2_grpc
import health_pb2
import health_pb2_grpc
import provider_pb2
import provider_pb2_grpc

ended = threading.Event()


def options_of(target):
    options = dict(target.options.items())
    group, ports = str(options.get("group")), options.get("ports", [])
    if not group.isalnum() or len(ports) != 2:
        raise ValueError("'group' must be a name, and 'ports' two numbers, such as [20000, 20099]")
    return group, int(ports[0]), int(ports[1])


class Group:
    """Its instances, {id: {port, pid, since}}: written down at once, as a plugin may be killed at any time."""

    def __init__(self, target):
        group, self.first, self.last = options_of(target)
        self.path = pathlib.Path(sys.argv[1]) / (group + ".json")

    def __enter__(self):  # locked, as calls come concurrently
        self.lock = open(self.path.with_suffix(".lock"), "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.instances = json.loads(self.path.read_text()) if self.path.exists() else {}
        return self

    def __exit__(self, *_):
        self.lock.close()

    def save(self):
        self.path.with_suffix(".new").write_text(json.dumps(self.instances))
        self.path.with_suffix(".new").replace(self.path)

    def since(self, pid):  # tells a process from a later one of the same number
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]

    def start(self, context):
        taken = {instance["port"] for instance in self.instances.values()}
        port = next((port for port in range(self.first, self.last + 1) if port not in taken), None)
        if port is None:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "all ports of the group are taken")
        server = subprocess.Popen(["/usr/bin/python3", "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                                  start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        instance = {"port": port, "pid": server.pid, "since": self.since(server.pid)}
        self.instances[f"toy-{port}-{server.pid}"] = instance
        self.save()

    def end(self, name):
        instance = self.instances.pop(name, None)
        self.save()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may have ended by itself
            if instance and self.since(instance["pid"]) == instance.get("since"):
                os.kill(instance["pid"], signal.SIGTERM)


class Provider(provider_pb2_grpc.ProviderServicer):
    def Describe(self, request, context):
        return provider_pb2.DescribeResponse(name="toyfleet", version="1.0")

    def Validate(self, request, context):
        answer = provider_pb2.ValidateResponse()
        for target in request.targets:
            verdict = answer.verdicts.add(service=target.service)
            try:
                verdict.identity = options_of(target)[0]
            except (ValueError, TypeError) as error:
                verdict.fault.code, verdict.fault.message = grpc.StatusCode.INVALID_ARGUMENT.value[0], str(error)
        return answer

    def Observe(self, request, context):
        answer = provider_pb2.ObserveResponse()
        for target in request.targets:
            with Group(target) as group:
                state = answer.targets.add(service=target.service, capacity=len(group.instances), ends_exactly=True)
                state.poll.FromMilliseconds(500)
                for name, instance in group.instances.items():
                    with socket.socket() as probe:
                        ready = probe.connect_ex(("127.0.0.1", instance["port"])) == 0
                    state.instances.add(id=name, endpoint=f"127.0.0.1:{instance['port']}",
                                        state="STATE_READY" if ready else "STATE_STARTING")
        return answer

    def SetCapacity(self, request, context):
        with Group(request.target) as group:
            for victim in request.victims:  # drained by now; one that is not there has ended already
                group.end(victim)
            while len(group.instances) > request.capacity:
                group.end(next(reversed(group.instances)))
            while len(group.instances) < request.capacity:
                group.start(context)
        return provider_pb2.SetCapacityResponse()


class Health(health_pb2_grpc.HealthServicer):
    def Check(self, request, context):
        return health_pb2.HealthCheckResponse(status="SERVING")


class Controller(grpc_controller_pb2_grpc.GRPCControllerServicer):
    def Shutdown(self, request, context):
        ended.set()
        return grpc_controller_pb2.Empty()


def main():
    if "AUTOSCALED_PLUGIN" not in os.environ:
        sys.exit("this is a plugin of autoscaled, which starts it")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the servers
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ProviderServicer_to_server(Provider(), server)
    health_pb2_grpc.add_HealthServicer_to_server(Health(), server)
    grpc_controller_pb2_grpc.add_GRPCControllerServicer_to_server(Controller(), server)
    path = f"{os.environ['PLUGIN_UNIX_SOCKET_DIR']}/toy-{os.getpid()}"
    server.add_insecure_port("unix:" + path)
    server.start()
    print(f"1|1|unix|{path}|grpc|", flush=True)
    ended.wait()
    server.stop(grace=1).wait()


main()
