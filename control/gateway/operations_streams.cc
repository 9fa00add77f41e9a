// The life of streams: eagre-control does it, in the pool's threads.
#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

constexpr uint64_t kHourMs = 3'600'000;
constexpr int64_t kRetentionHoursMin = 24;
constexpr int64_t kRetentionHoursMax = 8760;
constexpr uint32_t kOnDemandShardCount = 4;
constexpr uint32_t kAccountStreamsOnDemandMax = 50;
constexpr int64_t kDescribeLimitDefault = 100;
constexpr int64_t kListLimitDefault = 100;
/// What the service keeps of a stream and Eagre does not: in tags of ours, which no call shows.
constexpr std::string_view kModeTag = "eagre:stream-mode";
constexpr std::string_view kOnDemand = "ON_DEMAND";

bool is_on_demand(const client::StreamDescription& stream) {
    return std::any_of(stream.tags.begin(), stream.tags.end(), [](const auto& tag) { return tag.first == kModeTag && tag.second == kOnDemand; });
}

/// A job's outcome for calls that answer nothing.
Result<ControlPool::Completion> completion_of(const Status& done, ControlPool::Completion then) {
    if (!done) return done.error();
    return then;
}

void write_summary(Writer& writer, const client::StreamDescription& stream, const Arns& arns) {
    writer.text("StreamName", stream.name);
    writer.text("StreamARN", arns.stream(stream.name));
    // Ready to be written and read in every state; what is UPDATING takes no other change meanwhile.
    writer.text("StreamStatus", stream.state == client::StreamState::kResharding || stream.state == client::StreamState::kChanging ? "UPDATING" : "ACTIVE");
    writer.name("StreamModeDetails");
    writer.begin_map();
    writer.text("StreamMode", is_on_demand(stream) ? kOnDemand : "PROVISIONED");
    writer.end_map();
    writer.time_ms("StreamCreationTimestamp", stream.created_ns / 1'000'000'000 * 1000);
}

void write_details(Writer& writer, const client::StreamDescription& stream) {
    writer.integer("RetentionPeriodHours", static_cast<int64_t>((stream.retention_ms + kHourMs - 1) / kHourMs));
    writer.name("EnhancedMonitoring");
    writer.begin_list();
    writer.begin_map();
    writer.name("ShardLevelMetrics");
    writer.begin_list();
    writer.end_list();
    writer.end_map();
    writer.end_list();
    writer.text("EncryptionType", "NONE");
}

}  // namespace

void Gateway::submit(const Call& call, const std::string& name, ControlPool::Job job) {
    control_.submit(std::move(job), [this, call, name](Error error, const std::string& message) { fail(call, error_of_stream(error, name, message)); });
}

void Gateway::with_description(const Call& call, const std::string& name, std::function<void(const client::StreamDescription&)> then) {
    submit(call, name, [name, then = std::move(then)](client::ControlClient& control) -> Result<ControlPool::Completion> {
        auto described = control.describe_stream(name);
        if (!described) return described.error();
        return ControlPool::Completion([then, stream = std::move(*described)] { then(stream); });
    });
}

void Gateway::create_stream(const Call& call, const Node& input) {
    client::CreateStream request;
    request.name = input.member("StreamName")->text;
    const Node* mode = input.member("StreamModeDetails");
    const Node* count = input.member("ShardCount");
    const bool on_demand = mode != nullptr && mode->member("StreamMode")->text == kOnDemand;
    if (on_demand && count != nullptr)
        return fail(call, validation("ShardCount is not allowed with StreamMode ON_DEMAND."));
    if (!on_demand && mode != nullptr && count == nullptr) return fail(call, validation("ShardCount is required with StreamMode PROVISIONED."));
    if (input.member("WarmThroughputMiBps") != nullptr) return fail(call, not_available("WarmThroughputMiBps is not available here: every shard takes what the box takes."));
    if (count != nullptr && count->integer > INT32_MAX) return fail(call, validation("ShardCount is too large."));
    request.shard_count = count != nullptr ? static_cast<uint32_t>(count->integer) : on_demand ? kOnDemandShardCount : 1;
    if (const Node* size = input.member("MaxRecordSizeInKiB"); size != nullptr) request.record_bytes_max = static_cast<uint64_t>(size->integer) * 1024;
    if (const Node* tags = input.member("Tags"); tags != nullptr) {
        for (size_t i = 0; i + 1 < tags->children.size(); i += 2) request.tags.emplace_back(tags->children[i].text, tags->children[i + 1].text);
    }
    if (on_demand) request.tags.emplace_back(kModeTag, kOnDemand);
    const uint32_t quota = options_.shard_quota;
    submit(call, request.name, [this, call, request, quota](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto streams = control.list_streams();
        if (!streams) return streams.error();
        uint64_t open = 0;
        for (const auto& stream : *streams) open += stream.name == request.name ? 0 : stream.shard_count;
        if (open + request.shard_count > quota) {
            return ControlPool::Completion([this, call, open, quota, count = request.shard_count] {
                fail(call, limit_exceeded(fmt::format("This request would exceed the shard limit for the account {} in {}. Current shard count for "
                                                      "the account: {}. Limit: {}. Number of additional shards that would have resulted from this "
                                                      "request: {}. See --shard-quota.",
                                                      options_.arns.account, options_.arns.region, open, quota, count)));
            });
        }
        const auto made = control.create_stream(request);
        if (!made) return made.error();
        return ControlPool::Completion([this, call] { answer_empty(call); });
    });
}

void Gateway::delete_stream(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    submit(call, name, [this, call, name](client::ControlClient& control) {
        return completion_of(control.delete_stream(name), [this, call, name] {
            forget(name);
            answer_empty(call);
        });
    });
}

void Gateway::describe_stream(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const Node* limit = input.member("Limit");
    const Node* start = input.member("ExclusiveStartShardId");
    std::optional<uint64_t> after;
    if (start != nullptr) {
        const auto shard = parse_shard_name(start->text);
        if (!shard) return fail(call, invalid_argument(fmt::format("ExclusiveStartShardId {} is no shard's id.", start->text)));
        after = *shard;
    }
    const auto count_max = static_cast<size_t>(limit == nullptr ? kDescribeLimitDefault : limit->integer);
    with_description(call, name, [this, call, after, count_max](const client::StreamDescription& stream) {
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("StreamDescription");
        writer.begin_map();
        write_summary(writer, stream, options_.arns);
        writer.name("Shards");
        writer.begin_list();
        size_t count = 0;
        bool more = false;
        for (const client::ShardDescription& shard : stream.shards) {
            if (after && number_of(shard) <= *after) continue;
            more = count == count_max;
            if (more) break;
            write_shard(writer, stream, shard);
            ++count;
        }
        writer.end_list();
        writer.boolean("HasMoreShards", more);
        write_details(writer, stream);
        writer.end_map();
        writer.end_map();
        answer(call, writer);
    });
}

void Gateway::describe_stream_summary(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    with_description(call, name, [this, call](const client::StreamDescription& stream) {
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("StreamDescriptionSummary");
        writer.begin_map();
        write_summary(writer, stream, options_.arns);
        write_details(writer, stream);
        writer.integer("OpenShardCount", std::count_if(stream.shards.begin(), stream.shards.end(), [](const auto& shard) { return shard.open; }));
        writer.integer("ConsumerCount", 0);
        writer.integer("MaxRecordSizeInKiB", static_cast<int64_t>(stream.record_bytes_max / 1024));
        writer.end_map();
        writer.end_map();
        answer(call, writer);
    });
}

void Gateway::list_streams(const Call& call, const Node& input) {
    const Node* start = input.member("ExclusiveStartStreamName");
    const Node* token = input.member("NextToken");
    const Node* limit = input.member("Limit");
    // A token is the last name of the page before it.
    const std::string after(token != nullptr ? token->text : start != nullptr ? start->text : std::string_view{});
    const auto count_max = static_cast<size_t>(limit == nullptr ? kListLimitDefault : limit->integer);
    submit(call, {}, [this, call, after, count_max](client::ControlClient& control) -> Result<ControlPool::Completion> {
        auto listed = control.list_streams();
        if (!listed) return listed.error();
        auto& streams = *listed;
        std::sort(streams.begin(), streams.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        std::erase_if(streams, [&](const auto& stream) { return stream.name <= after && !after.empty(); });
        const bool more = streams.size() > count_max;
        if (more) streams.resize(count_max);
        return ControlPool::Completion([this, call, streams = std::move(streams), more] {
            Writer writer(call.encoding);
            writer.begin_map();
            writer.name("StreamNames");
            writer.begin_list();
            for (const auto& stream : streams) writer.text(stream.name);
            writer.end_list();
            writer.boolean("HasMoreStreams", more);
            if (more) writer.text("NextToken", streams.back().name);
            writer.name("StreamSummaries");
            writer.begin_list();
            for (const auto& stream : streams) {
                writer.begin_map();
                write_summary(writer, stream, options_.arns);
                writer.end_map();
            }
            writer.end_list();
            writer.end_map();
            answer(call, writer);
        });
    });
}

void Gateway::change_retention(const Call& call, const Node& input, bool increase) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const int64_t hours = input.member("RetentionPeriodHours")->integer;
    const auto out_of_range = [&](std::string_view which, int64_t bound) {
        fail(call, invalid_argument(fmt::format("{} allowed retention period is {} hours. Requested retention period ({} hours) is too {}.", which,
                                                bound, hours, which == "Minimum" ? "short" : "long")));
    };
    if (hours < kRetentionHoursMin) return out_of_range("Minimum", kRetentionHoursMin);
    if (hours > kRetentionHoursMax) return out_of_range("Maximum", kRetentionHoursMax);
    const uint64_t wanted_ms = static_cast<uint64_t>(hours) * kHourMs;
    submit(call, name, [this, call, name, hours, wanted_ms, increase](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto stream = control.describe_stream(name);
        if (!stream) return stream.error();
        if (increase ? wanted_ms < stream->retention_ms : wanted_ms > stream->retention_ms) {
            return ControlPool::Completion([this, call, hours, increase, now = stream->retention_ms / kHourMs] {
                fail(call, invalid_argument(fmt::format("Requested retention period ({} hours) for the stream can not be {} than the existing retention period ({} hours).",
                                                        hours, increase ? "shorter" : "longer", now)));
            });
        }
        return completion_of(control.set_retention(name, wanted_ms), [this, call] { answer_empty(call); });
    });
}

void Gateway::update_max_record_size(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    client::SetStream change;
    change.name = name;
    change.record_bytes_max = static_cast<uint64_t>(input.member("MaxRecordSizeInKiB")->integer) * 1024;
    submit(call, name, [this, call, change](client::ControlClient& control) {
        return completion_of(control.set_stream(change), [this, call, name = change.name] {
            // The next call learns the new limit.
            if (const auto known = streams_.find(name); known != streams_.end()) known->second->gone = true;
            answer_empty(call);
        });
    });
}

void Gateway::describe_limits(const Call& call, const Node&) {
    submit(call, {}, [this, call](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto streams = control.list_streams();
        if (!streams) return streams.error();
        int64_t open = 0;
        for (const auto& stream : *streams) open += stream.shard_count;
        const auto on_demand = std::count_if(streams->begin(), streams->end(), is_on_demand);
        return ControlPool::Completion([this, call, open, on_demand] {
            Writer writer(call.encoding);
            writer.begin_map();
            writer.integer("ShardLimit", options_.shard_quota);
            writer.integer("OpenShardCount", open);
            writer.integer("OnDemandStreamCount", on_demand);
            writer.integer("OnDemandStreamCountLimit", kAccountStreamsOnDemandMax);
            writer.end_map();
            answer(call, writer);
        });
    });
}

}  // namespace eagre::gateway
