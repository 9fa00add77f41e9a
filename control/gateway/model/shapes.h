#pragma once
// The input of each operation, as AWS's model of 2026 has it.

#include "control/gateway/model/shape.h"

namespace eagre::gateway::shapes {

extern const Shape kNothing, kCreateStream, kDeleteStream, kDescribeStream, kStreamOnly, kListStreams, kRetention, kMaxRecordSize, kPutRecord,
    kPutRecords, kGetShardIterator, kGetRecords, kListShards, kSplitShard, kMergeShards, kUpdateShardCount, kAddTags, kRemoveTags, kListTags,
    kTagResource, kUntagResource, kResource, kRegisterConsumer, kOneConsumer, kListConsumers, kSubscribeToShard, kUpdateStreamMode,
    kUpdateWarmThroughput, kEnhancedMonitoring, kUpdateAccountSettings, kPutResourcePolicy, kUpdateDistribution;

}  // namespace eagre::gateway::shapes
