#include "control/gateway/model/shapes.h"

namespace eagre::gateway::shapes {
namespace {

constexpr int64_t kAny = INT64_MAX;
constexpr int64_t kNone = INT64_MIN;

constexpr Member name(std::string_view member, bool required = false) { return {member, Type::kText, required, 1, 128, Pattern::kName}; }
constexpr Member shard(std::string_view member, bool required = false) { return {member, Type::kText, required, 1, 128, Pattern::kName}; }
constexpr Member integer(std::string_view member, int64_t min, int64_t max, bool required = false) {
    return {member, Type::kInteger, required, min, max};
}
constexpr Member text(std::string_view member, int64_t min, int64_t max, bool required = false) { return {member, Type::kText, required, min, max}; }
constexpr Member boolean(std::string_view member) { return {member, Type::kBoolean}; }
constexpr Member values(std::string_view member, std::string_view values, bool required = true) {
    Member made{member, Type::kText, required};
    made.values = values;
    return made;
}
constexpr Member structure(std::string_view member, const Shape& shape, bool required = false) {
    Member made{member, Type::kStructure, required};
    made.shape = &shape;
    return made;
}
constexpr Member list(std::string_view member, const Shape& shape, int64_t min, int64_t max, bool required = true) {
    Member made{member, Type::kList, required, min, max};
    made.shape = &shape;
    return made;
}
constexpr Member list(std::string_view member, const Member& element, int64_t min, int64_t max, bool required = true) {
    Member made{member, Type::kList, required, min, max};
    made.element = &element;
    return made;
}
constexpr Member tags(std::string_view member, bool required) { return {member, Type::kTextMap, required, 1, 200}; }

constexpr Member kStreamName = name("StreamName");
constexpr Member kStreamArn{"StreamARN", Type::kText, false, 1, 2048, Pattern::kStreamArn};
constexpr Member kStreamArnNeeded{"StreamARN", Type::kText, true, 1, 2048, Pattern::kStreamArn};
constexpr Member kStreamId{"StreamId", Type::kText, false, 1, 24, Pattern::kStreamId};
constexpr Member kResourceArn{"ResourceARN", Type::kText, true, 1, 2048, Pattern::kArn};
constexpr Member kKey = text("PartitionKey", 1, 256);  // Needed all the same where the stream goes by keys.
constexpr Member kDryRun = boolean("DryRun");
constexpr std::string_view kStrategies = "AUTO, USER_PARTITION_KEY";
constexpr Member kExplicitHash{"ExplicitHashKey", Type::kText, false, 0, kAny, Pattern::kHashKey};
constexpr Member kData{"Data", Type::kBlob, true, 0, 10'485'760};
constexpr Member kNextToken = text("NextToken", 1, 1'048'576);

constexpr Member kModeMembers[] = {values("StreamMode", "PROVISIONED, ON_DEMAND")};
constexpr Shape kMode{kModeMembers};
constexpr Member kRecordMembers[] = {kData, kExplicitHash, kKey};
constexpr Shape kRecord{kRecordMembers};
constexpr Member kFilterMembers[] = {
    values("Type", "AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP"), shard("ShardId"),
    Member{"Timestamp", Type::kTime}};
constexpr Shape kFilter{kFilterMembers};
constexpr Member kTagKey = text("", 1, 128);

constexpr Member kCreateStreamMembers[] = {name("StreamName", true), integer("ShardCount", 1, kAny), structure("StreamModeDetails", kMode),
                                           tags("Tags", false), integer("WarmThroughputMiBps", 0, kAny), integer("MaxRecordSizeInKiB", 1024, 10240),
                                           values("RecordDistributionStrategy", kStrategies, false)};
constexpr Member kDeleteStreamMembers[] = {kStreamName, boolean("EnforceConsumerDeletion"), kStreamArn, kStreamId};
constexpr Member kDescribeStreamMembers[] = {kStreamName, integer("Limit", 1, 10000), shard("ExclusiveStartShardId"), kStreamArn, kStreamId};
constexpr Member kStreamMembers[] = {kStreamName, kStreamArn, kStreamId};
constexpr Member kListStreamsMembers[] = {integer("Limit", 1, 10000), name("ExclusiveStartStreamName"), kNextToken};
constexpr Member kRetentionMembers[] = {kStreamName, integer("RetentionPeriodHours", kNone, kAny, true), kStreamArn, kStreamId};
constexpr Member kMaxRecordSizeMembers[] = {kStreamArnNeeded, kStreamId, integer("MaxRecordSizeInKiB", 1024, 10240, true)};
constexpr Member kPutRecordMembers[] = {kStreamName, kData, kKey, kExplicitHash,
                                        Member{"SequenceNumberForOrdering", Type::kText, false, 0, kAny, Pattern::kSequenceNumber}, kStreamArn, kStreamId, kDryRun};
constexpr Member kPutRecordsMembers[] = {list("Records", kRecord, 1, 500), kStreamName, kStreamArn, kStreamId, kDryRun};
constexpr Member kGetShardIteratorMembers[] = {
    kStreamName,
    shard("ShardId", true),
    values("ShardIteratorType", "AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP"),
    Member{"StartingSequenceNumber", Type::kText, false, 0, kAny, Pattern::kSequenceNumber},
    Member{"Timestamp", Type::kTime},
    kStreamArn,
    kStreamId,
    kDryRun};
constexpr Member kGetRecordsMembers[] = {text("ShardIterator", 1, 512, true), integer("Limit", 1, 10000), kStreamArn, kStreamId, kDryRun};
constexpr Member kListShardsMembers[] = {kStreamName, kNextToken, shard("ExclusiveStartShardId"), integer("MaxResults", 1, 10000),
                                         Member{"StreamCreationTimestamp", Type::kTime}, structure("ShardFilter", kFilter), kStreamArn, kStreamId};
constexpr Member kSplitShardMembers[] = {kStreamName, shard("ShardToSplit", true),
                                         Member{"NewStartingHashKey", Type::kText, true, 0, kAny, Pattern::kHashKey}, kStreamArn, kStreamId};
constexpr Member kMergeShardsMembers[] = {kStreamName, shard("ShardToMerge", true), shard("AdjacentShardToMerge", true), kStreamArn, kStreamId};
constexpr Member kUpdateShardCountMembers[] = {kStreamName, integer("TargetShardCount", 1, kAny, true), values("ScalingType", "UNIFORM_SCALING"),
                                               kStreamArn, kStreamId};
constexpr Member kAddTagsMembers[] = {kStreamName, tags("Tags", true), kStreamArn, kStreamId};
constexpr Member kRemoveTagsMembers[] = {kStreamName, list("TagKeys", kTagKey, 1, 50), kStreamArn, kStreamId};
constexpr Member kListTagsMembers[] = {kStreamName, text("ExclusiveStartTagKey", 1, 128), integer("Limit", 1, 50), kStreamArn, kStreamId};
constexpr Member kTagResourceMembers[] = {tags("Tags", true), kResourceArn, kStreamId};
constexpr Member kUntagResourceMembers[] = {list("TagKeys", kTagKey, 1, 50), kResourceArn, kStreamId};
constexpr Member kResourceMembers[] = {kResourceArn, kStreamId};
constexpr Member kConsumerArn{"ConsumerARN", Type::kText, false, 1, 2048, Pattern::kConsumerArn};
constexpr Member kConsumerArnNeeded{"ConsumerARN", Type::kText, true, 1, 2048, Pattern::kConsumerArn};
constexpr Member kRegisterConsumerMembers[] = {kStreamArnNeeded, name("ConsumerName", true), tags("Tags", false), kStreamId};
constexpr Member kOneConsumerMembers[] = {kStreamArn, name("ConsumerName"), kConsumerArn, kStreamId};
constexpr Member kListConsumersMembers[] = {kStreamArnNeeded, kNextToken, integer("MaxResults", 1, 10000), Member{"StreamCreationTimestamp", Type::kTime},
                                            kStreamId};
constexpr Member kPositionMembers[] = {values("Type", "AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP"),
                                       Member{"SequenceNumber", Type::kText, false, 0, kAny, Pattern::kSequenceNumber}, Member{"Timestamp", Type::kTime}};
constexpr Shape kPosition{kPositionMembers};
constexpr Member kSubscribeMembers[] = {kConsumerArnNeeded, shard("ShardId", true), structure("StartingPosition", kPosition, true), kStreamId, kDryRun};
constexpr Member kStreamModeMembers[] = {kStreamArnNeeded, structure("StreamModeDetails", kMode, true), integer("WarmThroughputMiBps", 0, kAny), kStreamId};
constexpr Member kWarmMembers[] = {kStreamName, kStreamArn, integer("WarmThroughputMiBps", 0, kAny, true), kStreamId};
constexpr Member kMetric = values("",
                                  "IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, WriteProvisionedThroughputExceeded, "
                                  "ReadProvisionedThroughputExceeded, IteratorAgeMilliseconds, ALL");
constexpr Member kMonitoringMembers[] = {kStreamName, list("ShardLevelMetrics", kMetric, 1, 7), kStreamArn, kStreamId};
constexpr Member kCommitmentMembers[] = {values("Status", "ENABLED, DISABLED")};
constexpr Shape kCommitment{kCommitmentMembers};
constexpr Member kAccountMembers[] = {structure("MinimumThroughputBillingCommitment", kCommitment, true)};
constexpr Member kPolicyMembers[] = {kResourceArn, text("Policy", 0, kAny, true), kStreamId};
constexpr Member kDistributionMembers[] = {kStreamArnNeeded, values("RecordDistributionStrategy", kStrategies), kStreamId};

}  // namespace

const Shape kNothing{};
const Shape kCreateStream{kCreateStreamMembers};
const Shape kDeleteStream{kDeleteStreamMembers};
const Shape kDescribeStream{kDescribeStreamMembers};
const Shape kStreamOnly{kStreamMembers};
const Shape kListStreams{kListStreamsMembers};
const Shape kRetention{kRetentionMembers};
const Shape kMaxRecordSize{kMaxRecordSizeMembers};
const Shape kPutRecord{kPutRecordMembers};
const Shape kPutRecords{kPutRecordsMembers};
const Shape kGetShardIterator{kGetShardIteratorMembers};
const Shape kGetRecords{kGetRecordsMembers};
const Shape kListShards{kListShardsMembers};
const Shape kSplitShard{kSplitShardMembers};
const Shape kMergeShards{kMergeShardsMembers};
const Shape kUpdateShardCount{kUpdateShardCountMembers};
const Shape kAddTags{kAddTagsMembers};
const Shape kRemoveTags{kRemoveTagsMembers};
const Shape kListTags{kListTagsMembers};
const Shape kTagResource{kTagResourceMembers};
const Shape kUntagResource{kUntagResourceMembers};
const Shape kResource{kResourceMembers};
const Shape kRegisterConsumer{kRegisterConsumerMembers};
const Shape kOneConsumer{kOneConsumerMembers};
const Shape kListConsumers{kListConsumersMembers};
const Shape kSubscribeToShard{kSubscribeMembers};
const Shape kUpdateStreamMode{kStreamModeMembers};
const Shape kUpdateWarmThroughput{kWarmMembers};
const Shape kEnhancedMonitoring{kMonitoringMembers};
const Shape kUpdateAccountSettings{kAccountMembers};
const Shape kPutResourcePolicy{kPolicyMembers};
const Shape kUpdateDistribution{kDistributionMembers};

}  // namespace eagre::gateway::shapes
