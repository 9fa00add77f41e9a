// An ordinary life with AWS's SDK for JavaScript: node life.mjs URL http1|http2. Prints one JSON object; throws when something is not as
// it should be.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.env.EAGRE_NODE_MODULES + "/");
const sdk = require("@aws-sdk/client-kinesis");
const { NodeHttpHandler } = require("@smithy/node-http-handler");

const [url, version] = process.argv.slice(2);
// By default this SDK speaks HTTP/2 for every call of Kinesis, on plain ports with prior knowledge.
const client = new sdk.KinesisClient({ endpoint: url, region: "us-east-1", maxAttempts: 1,
    ...(version === "http1" ? { requestHandler: new NodeHttpHandler() } : {}) });
const call = (name, input) => client.send(new sdk[name + "Command"](input));
const StreamName = "life-" + version;

async function refused(name, input, error) {
    await assert.rejects(call(name, input), (thrown) => (assert.equal(thrown.name, error), true));
}

await call("CreateStream", { StreamName, ShardCount: 4 });
await sdk.waitUntilStreamExists({ client, maxWaitTime: 10, minDelay: 1 }, { StreamName });
await refused("CreateStream", { StreamName, ShardCount: 1 }, "ResourceInUseException");
const sent = new Map();
let number = 0;
for (let round = 0; round < 5; round++) {
    // Calls at once, and order within each: a key belongs to one call of a round.
    const calls = Array.from({ length: 4 }, (_, caller) => {
        const Records = Array.from({ length: 500 }, (_, i) => ({ Data: Buffer.from(String(number++)), PartitionKey: `k${caller}-${i % 25}` }));
        for (const record of Records) sent.set(record.PartitionKey, [...(sent.get(record.PartitionKey) ?? []), record.Data.toString()]);
        return call("PutRecords", { StreamName, Records });
    });
    for (const answer of await Promise.all(calls)) assert.equal(answer.FailedRecordCount, 0);
}
const large = await call("PutRecord", { StreamName, Data: Buffer.alloc(1000000, 7), PartitionKey: "large" });
assert.equal(large.SequenceNumber.length, 56);
const got = new Map();
let records = 0;
for (const shard of (await call("ListShards", { StreamName })).Shards) {
    let { ShardIterator } = await call("GetShardIterator", { StreamName, ShardId: shard.ShardId, ShardIteratorType: "TRIM_HORIZON" });
    for (let behind = 1; behind > 0; ) {
        const answer = await call("GetRecords", { ShardIterator });
        for (const record of answer.Records) {
            records++;
            assert.ok(Math.abs(record.ApproximateArrivalTimestamp.getTime() - Date.now()) < 60000);
            if (record.PartitionKey === "large") assert.equal(record.Data.length, 1000000);
            else got.set(record.PartitionKey, [...(got.get(record.PartitionKey) ?? []), Buffer.from(record.Data).toString()]);
        }
        ShardIterator = answer.NextShardIterator;
        behind = answer.MillisBehindLatest;
    }
}
assert.deepEqual([...got.entries()].sort(), [...sent.entries()].sort());
await refused("GetRecords", { ShardIterator: "AAAA" }, "InvalidArgumentException");
await refused("DescribeStream", { StreamName: "nothing" }, "ResourceNotFoundException");
await refused("PutRecord", { StreamName, Data: Buffer.from("x"), PartitionKey: "" }, "ValidationException");
const names = [];
for await (const page of sdk.paginateListStreams({ client, pageSize: 1 }, {})) names.push(...page.StreamNames);
assert.ok(names.includes(StreamName));
await call("DeleteStream", { StreamName });
await sdk.waitUntilStreamNotExists({ client, maxWaitTime: 10, minDelay: 1 }, { StreamName });

// Fan-out: a consumer of all shards, half of the records there before it and half after.
async function fanOut(StreamName, count) {
    await call("CreateStream", { StreamName, ShardCount: 4 });
    await sdk.waitUntilStreamExists({ client, maxWaitTime: 10, minDelay: 1 }, { StreamName });
    const { StreamARN } = (await call("DescribeStreamSummary", { StreamName })).StreamDescriptionSummary;
    const { ConsumerARN } = (await call("RegisterStreamConsumer", { StreamARN, ConsumerName: "desk" })).Consumer;
    for (let status = ""; status !== "ACTIVE"; ) status = (await call("DescribeStreamConsumer", { ConsumerARN })).ConsumerDescription.ConsumerStatus;
    const sent = new Map(), got = new Map(), wanted = new Map();
    async function put(first) {
        const Records = Array.from({ length: count / 4 }, (_, i) => ({ Data: Buffer.from(String(first + i)), PartitionKey: `k${i % 25}` }));
        const answer = await call("PutRecords", { StreamName, Records });
        assert.equal(answer.FailedRecordCount, 0);
        answer.Records.forEach(({ ShardId }, i) => {
            sent.set(Records[i].PartitionKey, [...(sent.get(Records[i].PartitionKey) ?? []), Records[i].Data.toString()]);
            wanted.set(ShardId, (wanted.get(ShardId) ?? 0) + 1);
        });
    }
    for (let quarter = 0; quarter < 2; quarter++) await put((quarter * count) / 4);
    const { Shards } = await call("ListShards", { StreamName });
    const abort = new AbortController();
    const subscriptions = await Promise.all(Shards.map(({ ShardId }) => client.send(new sdk.SubscribeToShardCommand(
        { ConsumerARN, ShardId, StartingPosition: { Type: "TRIM_HORIZON" } }), { abortSignal: abort.signal })));
    await refused("SubscribeToShard", { ConsumerARN, ShardId: Shards[0].ShardId, StartingPosition: { Type: "LATEST" } }, "ResourceInUseException");
    for (let quarter = 2; quarter < 4; quarter++) await put((quarter * count) / 4);
    let received = 0;
    await Promise.all(subscriptions.map(async ({ EventStream }, i) => {
        let there = 0, last = 0n;
        if (!wanted.has(Shards[i].ShardId)) return;
        for await (const { SubscribeToShardEvent: event } of EventStream) {
            for (const record of event.Records) {
                assert.ok(BigInt(record.SequenceNumber) > last);
                last = BigInt(record.SequenceNumber);
                got.set(record.PartitionKey, [...(got.get(record.PartitionKey) ?? []), Buffer.from(record.Data).toString()]);
            }
            assert.ok(BigInt(event.ContinuationSequenceNumber) >= last);
            there += event.Records.length;
            if (there >= wanted.get(Shards[i].ShardId)) break;
        }
        received += there;
    }));
    abort.abort();
    assert.deepEqual([...got.entries()].sort(), [...sent.entries()].sort());
    await call("DeregisterStreamConsumer", { ConsumerARN });
    await refused("DescribeStreamConsumer", { ConsumerARN }, "ResourceNotFoundException");
    await call("DeleteStream", { StreamName });
    return received;
}
const fanned = await fanOut("fan-" + version, 2000);
client.destroy();
console.log(JSON.stringify({ records, fanned }));
