#!/usr/bin/env python3
"""Compares our signatures with botocore's, for random requests.

  signature_oracle.py SIGNER [COUNT] [SEED]

Ends with 77 where there is no botocore (Debian: python3-botocore).
"""
import datetime
import json
import os
import random
import subprocess
import sys

try:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
except ImportError:
    # The one that runs us may not be the one that Debian's packages are for.
    others = ["/usr/bin/python3"]
    if os.environ.get("AUTOSCALE_PARTS"):
        others.append(os.environ["AUTOSCALE_PARTS"] + "/moto/bin/python3")
    for other in others:
        probe = [other, "-c", "import botocore.auth"]
        if os.path.exists(other) and subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
            sys.exit(subprocess.run([other, *sys.argv]).returncode)
    print("skipped: there is no botocore (python3-botocore)")
    sys.exit(77)

UNRESERVED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
PRINTABLE = [chr(c) for c in range(0x20, 0x7F)]


def text(chance, alphabet, most, least=0):
    return "".join(chance.choice(alphabet) for _ in range(chance.randint(least, most)))


def escaped(chance, most):
    """As it stands in a URL: unreserved characters and escapes."""
    return "".join(
        chance.choice(UNRESERVED) if chance.random() < 0.8 else "%%%02X" % chance.randint(1, 255)
        for _ in range(chance.randint(0, most)))


def path(chance):
    segments = [chance.choice([".", "..", "", escaped(chance, 8), escaped(chance, 8)])
                for _ in range(chance.randint(0, 5))]
    return "/" + "/".join(segments)


def query(chance):
    return "&".join(
        escaped(chance, 6) + chance.choice(["", "=" + escaped(chance, 8)])
        for _ in range(chance.randint(0, 5)))


def headers(chance, host):
    made = [["Host", host], ["Content-Type", "application/x-www-form-urlencoded; charset=utf-8"]]
    for n in range(chance.randint(0, 4)):
        name = "X-" + text(chance, "abcXYZ-", 6, 1) + str(n)
        for _ in range(chance.randint(1, 3)):
            made.append([chance.choice([name, name.upper()]), text(chance, PRINTABLE, 30)])
    chance.shuffle(made)
    return made


def made(chance):
    port = chance.choice(["", ":5000", ":8443"])
    return {
        "method": chance.choice(["GET", "POST", "PUT"]),
        "path": path(chance),
        "query": query(chance),
        "headers": headers(chance, "host.example" + port),
        "body": text(chance, PRINTABLE + ["\n", "é", "&", "="], 200),
        "id": text(chance, UNRESERVED, 20, 1),
        "secret": text(chance, PRINTABLE[1:], 60, 1),
        "token": text(chance, UNRESERVED + "/+=", 80),
        "region": chance.choice(["us-east-1", "eu-central-1", "us-gov-west-1"]),
        "service": chance.choice(["autoscaling", "ec2", "sts"]),
        "time": chance.randint(0, 4_000_000_000),
    }


def expected(case):
    host = next(value for name, value in case["headers"] if name == "Host")
    url = "http://" + host + case["path"] + ("?" + case["query"] if case["query"] else "")
    request = AWSRequest(method=case["method"], url=url, data=case["body"].encode())
    for name, value in case["headers"]:
        request.headers[name] = value  # adds
    keys = Credentials(case["id"], case["secret"], case["token"] or None)
    auth = SigV4Auth(keys, case["service"], case["region"])
    moment = datetime.datetime.fromtimestamp(case["time"], datetime.timezone.utc)
    request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    auth._modify_request_before_signing(request)
    to_sign = auth.string_to_sign(request, auth.canonical_request(request))
    auth._inject_signature_to_request(request, auth.signature(to_sign, request))
    return request.headers["Authorization"]


def main():
    signer = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    chance = random.Random(seed)
    cases = [made(chance) for _ in range(count)]
    fed = "".join(json.dumps(case) + "\n" for case in cases)
    told = subprocess.run([signer], input=fed.encode(), stdout=subprocess.PIPE, check=True)
    ours = told.stdout.decode().splitlines()
    assert len(ours) == count, (len(ours), count)
    wrong = [(case, mine, theirs) for case, mine in zip(cases, ours)
             if mine != (theirs := expected(case))]
    for case, mine, theirs in wrong[:3]:
        print(json.dumps(case), mine, theirs, sep="\n")
    print(f"{count} signatures, seed {seed}: {len(wrong)} differ from botocore's")
    sys.exit(1 if wrong else 0)


main()
