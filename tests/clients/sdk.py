"""The two generations of Alibaba Cloud's Python SDK, and of its Node SDK, behind one way to call them.

`call("CreateVpc", CidrBlock="10.0.0.0/8")` uses the client's own request class and its own setters; nothing is
added that a program would not do. A refusal is raised as [`Refused`], whatever the client makes of it.
"""

import importlib
import json
import re
import subprocess
from pathlib import Path

from alibabacloud_ecs20140526 import models as ecs_models
from alibabacloud_ecs20140526.client import Client as EcsClient
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException
from alibabacloud_tea_openapi.models import Config
from alibabacloud_vpc20160428 import models as vpc_models
from alibabacloud_vpc20160428.client import Client as VpcClient
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from darabonba.runtime import RuntimeOptions

from server import REGION
from signer import CODES_SEEN

VPC_OPERATIONS = (
    "CreateVpc", "DescribeVpcs", "DescribeVpcAttribute", "ModifyVpcAttribute", "DeleteVpc",
    "CreateVSwitch", "DescribeVSwitches", "DescribeVSwitchAttributes", "ModifyVSwitchAttribute", "DeleteVSwitch",
    "CreateFlowLog", "DescribeFlowLogs", "ModifyFlowLogAttribute", "ActiveFlowLog", "DeactiveFlowLog", "DeleteFlowLog",
)
TIMEOUT_S = 30


class Refused(Exception):
    """What the server said no with."""

    def __init__(self, status, code, message):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message
        CODES_SEEN.add(code)

    @property
    def told(self):
        return self.status, self.code


class Sdk:
    """A client with an access key."""

    def __init__(self, server, key_id=None, secret=None, token=None):
        found = server.credentials
        self.server = server
        self.key_id = key_id or found["ALIBABA_CLOUD_ACCESS_KEY_ID"]
        self.secret = secret or found["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
        self.token = token
        self.address = found["ALIBABA_CLOUD_ENDPOINT_ECS"]
        self.scheme = found["SEKIMORI_ENDPOINT"].split(":")[0]

    @property
    def account(self):
        """Whose key it is."""
        _, accounts = self.server.native("GET", "/v1/accounts")
        [account] = [one["id"] for one in accounts if self.key_id in one["keys"]]
        return account

    def call(self, operation, **parameters):
        """The answer as JSON has it. `RegionId=None` leaves the region out."""
        parameters = {"RegionId": REGION, **parameters}
        if operation == "DescribeRegions":
            del parameters["RegionId"]
        parameters = {name: value for name, value in parameters.items() if value is not None}
        return self.send(operation, parameters)

    def refused(self, operation, **parameters):
        """The refusal that the call must end with."""
        try:
            answer = self.call(operation, **parameters)
        except Refused as refused:
            return refused
        raise AssertionError(f"{operation} {parameters} was not refused: {answer}")

    # -- what every test needs, in one line each

    def vpc(self, cidr="10.0.0.0/8", **more):
        return self.call("CreateVpc", CidrBlock=cidr, **more)["VpcId"]

    def vswitch(self, vpc, cidr, **more):
        answer = self.call("CreateVSwitch", VpcId=vpc, ZoneId=f"{REGION}-b", CidrBlock=cidr, **more)
        return answer["VSwitchId"]

    def group(self, vpc, **more):
        return self.call("CreateSecurityGroup", VpcId=vpc, **more)["SecurityGroupId"]

    def instances(self, vswitch, group, amount=1, **more):
        more = {"ImageId": "any", "InstanceType": "ecs.any", "Amount": amount, **more}
        answer = self.call("RunInstances", VSwitchId=vswitch, SecurityGroupId=group, **more)
        return answer["InstanceIdSets"]["InstanceIdSet"]

    def instance(self, instance_id):
        answer = self.call("DescribeInstances", InstanceIds=json.dumps([instance_id]))
        return answer["Instances"]["Instance"][0]

    def eni(self, vswitch, group, **more):
        answer = self.call("CreateNetworkInterface", VSwitchId=vswitch, SecurityGroupId=group, **more)
        return answer["NetworkInterfaceId"]

    def interfaces(self, **more):
        answer = self.call("DescribeNetworkInterfaces", **more)
        return answer["NetworkInterfaceSets"]["NetworkInterfaceSet"]

    def interface(self, eni):
        return self.call("DescribeNetworkInterfaceAttribute", NetworkInterfaceId=eni)

    def rules(self, group, **more):
        answer = self.call("DescribeSecurityGroupAttribute", SecurityGroupId=group, **more)
        return answer["Permissions"]["Permission"]

    def groups(self, **more):
        answer = self.call("DescribeSecurityGroups", **more)
        return answer["SecurityGroups"]["SecurityGroup"]


class V2(Sdk):
    """`alibabacloud_ecs20140526` and `alibabacloud_vpc20160428`: ACS3."""

    name = "v2"

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        options = {"autoretry": False, "connect_timeout": 5_000, "read_timeout": TIMEOUT_S * 1_000}
        self.runtime = RuntimeOptions(ca=self.server.credentials.get("SEKIMORI_CA"), **options)
        self.ecs, self.network = EcsClient(self.config()), VpcClient(self.config())

    def config(self):
        return Config(
            access_key_id=self.key_id,
            access_key_secret=self.secret,
            security_token=self.token,
            endpoint=self.address,
            protocol=self.scheme,
        )

    def send(self, operation, parameters):
        is_vpc = operation in VPC_OPERATIONS
        client, models = (self.network, vpc_models) if is_vpc else (self.ecs, ecs_models)
        request = getattr(models, f"{operation}Request")().from_map(parameters)
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower()
        # The SDK's generator counts a digit as the end of a word.
        snake = snake.replace("ipv6addresses", "ipv_6addresses")
        try:
            answer = getattr(client, f"{snake}_with_options")(request, self.runtime)
        except AlibabaCloudException as error:
            message = re.sub(r"^code: \d+, | request id: [-0-9A-F]+$", "", error.message)
            raise Refused(error.status_code, error.code, message) from error
        return answer.body.to_map()


class V1(Sdk):
    """`aliyun-python-sdk-ecs`: RPC signature version 1, everything in the query, VPC operations of ECS."""

    name = "v1"

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        key = (self.key_id, self.secret)
        if self.token:
            credential = StsTokenCredential(*key, self.token)
            self.client = AcsClient(region_id=REGION, credential=credential, timeout=TIMEOUT_S, auto_retry=False)
        else:
            self.client = AcsClient(*key, REGION, timeout=TIMEOUT_S, auto_retry=False)

    def send(self, operation, parameters):
        module = importlib.import_module(f"aliyunsdkecs.request.v20140526.{operation}Request")
        request = getattr(module, f"{operation}Request")()
        request.set_endpoint(self.address)
        request.set_protocol_type("http")
        request.set_accept_format("json")
        for name, value in parameters.items():
            if name == "RegionId":
                request.add_query_param(name, value)
                continue
            setter = getattr(request, f"set_{name}", None) or getattr(request, f"set_{name}s")
            setter(value)
        try:
            return json.loads(self.client.do_action_with_exception(request))
        except ServerException as error:
            raise Refused(error.get_http_status(), error.get_error_code(), error.get_error_msg()) from error


class Node(Sdk):
    """A Node SDK behind `node/bridge.mjs`: `n1` is `pop-core`, `n2` is `ecs20140526`; VPC operations of ECS. `aws`
    is `client-ec2`, which is sent its own words."""

    def __init__(self, name, *arguments, **more):
        super().__init__(*arguments, **more)
        self.name = name
        words = ["node", "bridge.mjs", name, self.address, self.key_id, self.secret, *([self.token] if self.token else [])]
        folder = Path(__file__).parents[2] / "target/clients-node"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, cwd=folder, stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(timeout=TIMEOUT_S) == 0

    def send(self, operation, parameters):
        self.process.stdin.write(json.dumps({"operation": operation, "parameters": parameters}) + "\n")
        told = json.loads(self.process.stdout.readline())
        if "answer" in told:
            return told["answer"]
        message = re.sub(r"^code: \d+, | request id: [-0-9A-F]+$", "", told["message"])
        raise Refused(told["status"], told["code"], message)
