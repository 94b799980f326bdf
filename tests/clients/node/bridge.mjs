// The Node SDKs behind one way to call them: a JSON request per line on standard input, a JSON answer per line on
// standard output. Nothing is added that a program would not do. `sdk.py` is the other end.

import { createInterface } from 'node:readline';

import * as dara from '@darabonba/typescript';
import ecs from '@alicloud/ecs20140526';
import openapi from '@alicloud/openapi-client';
import pop from '@alicloud/pop-core';

const [name, address, key, secret, token] = process.argv.slice(2);
const TIMEOUT_MS = 30_000;

// Newer: a class for every request, ACS3-HMAC-SHA256.
async function newer(operation, parameters) {
  const config = new openapi.Config({
    accessKeyId: key, accessKeySecret: secret, securityToken: token, endpoint: address, protocol: 'http',
  });
  const client = new ecs.default(config);
  const request = dara.cast(parameters, new ecs[`${operation}Request`]());
  const method = operation[0].toLowerCase() + operation.slice(1);
  const options = new dara.RuntimeOptions({ autoretry: false, connectTimeout: 5_000, readTimeout: TIMEOUT_MS });
  const answer = await client[`${method}WithOptions`](request, options);
  return answer.body.toMap();
}

// Older: any operation of any product, RPC signature version 1, parameters in a form.
const VERSIONS = { GetCallerIdentity: '2015-04-01', DescribeEndpoints: '2015-06-12' };

async function older(operation, parameters) {
  const apiVersion = VERSIONS[operation] ?? '2014-05-26';
  const client = new pop.RPCClient({
    accessKeyId: key, accessKeySecret: secret, securityToken: token, endpoint: `http://${address}`, apiVersion,
    opts: { timeout: TIMEOUT_MS },
  });
  return client.request(operation, parameters, { method: 'POST' });
}

// Amazon's: a class for every command, signature version 4.
async function amazon(operation, parameters) {
  const ec2 = await import('@aws-sdk/client-ec2');
  const client = new ec2.EC2Client({
    endpoint: `http://${address}`, region: 'us-east-1', maxAttempts: 1,
    credentials: { accessKeyId: key, secretAccessKey: secret, sessionToken: token },
  });
  return client.send(new ec2[`${operation}Command`](parameters));
}

const send = { n1: older, n2: newer, aws: amazon }[name];

for await (const line of createInterface({ input: process.stdin })) {
  const { operation, parameters } = JSON.parse(line);
  let told;
  try {
    told = { answer: await send(operation, parameters) };
  } catch (error) {
    const status = error.$metadata?.httpStatusCode ?? error.statusCode ?? error.data?.statusCode ?? error.entry?.response?.statusCode;
    told = { status, code: error.code ?? error.name, message: error.data?.Message ?? error.message };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
