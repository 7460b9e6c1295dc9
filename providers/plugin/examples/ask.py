#!/usr/bin/python3
"""Starts a plugin as autoscaled does and asks it, to try it by hand:

  ask.py '{"group": "web", "ports": [20000, 20099]}' ./toyfleet.py /var/lib/toy
  ask.py --set 3 '{"group": "web", "ports": [20000, 20099]}' ./toyfleet.py /var/lib/toy

Needs what toyfleet.py needs.
"""
import argparse
import json
import os
import subprocess
import tempfile

import grpc
import grpc_controller_pb2
import grpc_controller_pb2_grpc
import health_pb2
import health_pb2_grpc
import provider_pb2 as pb
import provider_pb2_grpc

arguments = argparse.ArgumentParser()
arguments.add_argument("--set", type=int, help="ask for this capacity before it is observed")
arguments.add_argument("options", type=json.loads, help="the service's provider: section, as JSON")
arguments.add_argument("command", nargs=argparse.REMAINDER)
arguments = arguments.parse_args()


def ask(call, request, timeout=5):
    name = type(request).DESCRIPTOR.name.removesuffix("Request")
    try:
        print(f"{name}: {{ {call(request, timeout=timeout, wait_for_ready=True)} }}")
    except grpc.RpcError as error:
        print(f"{name}: {error.code().name} {error.details()}")


with tempfile.TemporaryDirectory() as folder:
    environment = {**os.environ, "AUTOSCALED_PLUGIN": "by hand", "PLUGIN_PROTOCOL_VERSIONS": "1",
                   "PLUGIN_UNIX_SOCKET_DIR": folder}
    plugin = subprocess.Popen(arguments.command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        line = plugin.stdout.readline().strip()
        print("handshake:", line)
        network, address = line.split("|")[2:4]
        with grpc.insecure_channel(address if network == "tcp" else "unix:" + address) as channel:
            ask(health_pb2_grpc.HealthStub(channel).Check, health_pb2.HealthCheckRequest(service="plugin"))
            provider = provider_pb2_grpc.ProviderStub(channel)
            ask(provider.Describe, pb.DescribeRequest())
            target = pb.Target(service="by-hand")
            target.options.update(arguments.options)
            ask(provider.Validate, pb.ValidateRequest(targets=[target]))
            if arguments.set is not None:
                ask(provider.SetCapacity,
                    pb.SetCapacityRequest(target=target, capacity=arguments.set, intent="by-hand/1"))
            ask(provider.Observe, pb.ObserveRequest(targets=[target]))
            ask(grpc_controller_pb2_grpc.GRPCControllerStub(channel).Shutdown, grpc_controller_pb2.Empty(), timeout=2)
        print("it exited with status", plugin.wait(timeout=5))
    finally:
        plugin.kill()
