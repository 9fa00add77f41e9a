// The life of streams: eagre-control does it, in the pool's threads.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"
#include "control/gateway/warm_throughput.h"

namespace eagre::gateway {
namespace {

constexpr uint64_t kHourMs = 3'600'000;
constexpr int64_t kRetentionHoursMin = 24;
constexpr int64_t kRetentionHoursMax = 8760;
constexpr uint32_t kOnDemandShardCount = 4;
constexpr uint32_t kAccountStreamsOnDemandMax = 50;
constexpr int64_t kDescribeLimitDefault = 100;
constexpr int64_t kListLimitDefault = 100;
constexpr std::string_view kOnDemand = "ON_DEMAND";

/// A job's outcome for calls that answer nothing.
Result<ControlPool::Completion> completion_of(const Status& done, ControlPool::Completion then) {
    if (!done) return done.error();
    return then;
}

void write_summary(Writer& writer, const client::StreamDescription& stream, const StreamSettings& settings, const Arns& arns) {
    writer.text("StreamName", stream.name);
    writer.text("StreamARN", arns.stream(stream.name));
    // Ready to be written and read in every state; what is UPDATING takes no other change meanwhile.
    writer.text("StreamStatus", stream.state == client::StreamState::kResharding || stream.state == client::StreamState::kChanging ? "UPDATING" : "ACTIVE");
    writer.name("StreamModeDetails");
    writer.begin_map();
    writer.text("StreamMode", settings.on_demand ? kOnDemand : "PROVISIONED");
    writer.end_map();
    writer.time_ms("StreamCreationTimestamp", stream.created_ns / 1'000'000'000 * 1000);
}

void write_details(Writer& writer, const client::StreamDescription& stream, const StreamSettings& settings) {
    writer.integer("RetentionPeriodHours", static_cast<int64_t>((stream.retention_ms + kHourMs - 1) / kHourMs));
    writer.name("EnhancedMonitoring");
    writer.begin_list();
    writer.begin_map();
    writer.name("ShardLevelMetrics");
    writer.begin_list();
    for (const std::string& metric : settings.shard_metrics) writer.text(metric);
    writer.end_list();
    writer.end_map();
    writer.end_list();
    writer.text("EncryptionType", "NONE");
}

}  // namespace

void write_warm_throughput(Writer& writer, int64_t mibps) {
    writer.begin_map();
    // No shard has a limit that it would have to be warmed up for: what is wanted is there at once.
    writer.integer("TargetMiBps", mibps);
    writer.integer("CurrentMiBps", mibps);
    writer.end_map();
}

ApiError warm_throughput_refused() {
    return validation("WarmThroughputMiBps is only for accounts whose MinimumThroughputBillingCommitment is ENABLED (UpdateAccountSettings).");
}

void Gateway::submit(const Call& call, const std::string& name, ControlPool::Job job) {
    control_.submit(std::move(job), [this, call, name](Error error, const std::string& message) { fail(call, error_of_stream(error, name, message)); });
}

void Gateway::with_description(const Call& call, const std::string& name, std::function<void(const client::StreamDescription&, const StreamNotes&)> then) {
    submit(call, name, [name, then = std::move(then)](client::ControlClient& control) -> Result<ControlPool::Completion> {
        auto described = control.describe_stream(name);
        if (!described) return described.error();
        const auto notes = control.list_notes(name, kNotePrefix);
        if (!notes) return notes.error();
        return ControlPool::Completion([then, stream = std::move(*described), notes = read_stream_notes(*notes, name)] { then(stream, notes); });
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
    StreamSettings settings;
    settings.on_demand = on_demand;
    const Node* warm = input.member("WarmThroughputMiBps");
    const Node* strategy = input.member("RecordDistributionStrategy");
    if (warm != nullptr && !on_demand) return fail(call, validation("WarmThroughputMiBps is only for streams with StreamMode ON_DEMAND."));
    if (strategy != nullptr && strategy->text == "AUTO" && !on_demand)
        return fail(call, validation("RecordDistributionStrategy AUTO is only for streams with StreamMode ON_DEMAND."));
    if (warm != nullptr) settings.warm_mibps = warm->integer;
    settings.automatic = strategy != nullptr && strategy->text == "AUTO";
    if (count != nullptr && count->integer > INT32_MAX) return fail(call, validation("ShardCount is too large."));
    request.shard_count = count != nullptr ? static_cast<uint32_t>(count->integer) : on_demand ? kOnDemandShardCount : 1;
    if (const Node* size = input.member("MaxRecordSizeInKiB"); size != nullptr) request.record_bytes_max = static_cast<uint64_t>(size->integer) * 1024;
    auto tags = tags_of(call, input);
    if (!tags) return;
    request.tags = std::move(*tags);
    if (!settings.is_default()) {
        request.note_name = kSettingsNote;
        request.note_text = settings.text();
        ++change_number_;
    }
    const uint32_t quota = options_.shard_quota;
    submit(call, request.name, [this, call, request, quota, warm = settings.warm_mibps](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto streams = control.list_streams();
        if (!streams) return streams.error();
        if (warm != 0) {
            const auto notes = control.list_notes({}, kAccountNote);
            if (!notes) return notes.error();
            if (notes->empty() || !parse_account(notes->front().text).committed)
                return ControlPool::Completion([this, call] { fail(call, warm_throughput_refused()); });
        }
        uint64_t open = 0;
        for (const auto& stream : *streams) open += stream.name == request.name ? 0 : stream.shard_count;
        if (open + request.shard_count > quota) {
            return ControlPool::Completion([this, call, open, quota, count = request.shard_count] {
                fail(call, limit_exceeded(fmt::format("This request would exceed the shard limit for the account {} in {}. Current shard count for "
                                                      "the account: {}. Limit: {}. Number of additional shards that would have resulted from this "
                                                      "request: {}. See --shard-quota.",
                                                      options_.arns.account, call.region, open, quota, count)));
            });
        }
        const auto made = control.create_stream(request);
        if (!made) return made.error();
        return ControlPool::Completion([this, call] {
            ++change_number_;
            answer_empty(call);
        });
    });
}

void Gateway::delete_stream(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const Node* enforce = input.member("EnforceConsumerDeletion");
    const bool with_consumers = enforce != nullptr && enforce->boolean;
    submit(call, name, [this, call, name, with_consumers](client::ControlClient& control) -> Result<ControlPool::Completion> {
        if (!with_consumers) {
            const auto consumers = control.list_notes(name, kConsumerNotes);
            if (!consumers) return consumers.error();
            if (!consumers->empty()) {
                return ControlPool::Completion([this, call, name] {
                    fail(call, in_use(fmt::format("Stream {} under account {} has consumers registered. Deregister them, or say EnforceConsumerDeletion.", name,
                                                  options_.arns.account)));
                });
            }
        }
        return completion_of(control.delete_stream(name), [this, call, name] {
            ++change_number_;
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
    with_description(call, name, [this, call, after, count_max](const client::StreamDescription& stream, const StreamNotes& notes) {
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("StreamDescription");
        writer.begin_map();
        write_summary(writer, stream, notes.settings, arns(call));
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
        write_details(writer, stream, notes.settings);
        writer.end_map();
        writer.end_map();
        answer(call, writer);
    });
}

void Gateway::describe_stream_summary(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    with_description(call, name, [this, call](const client::StreamDescription& stream, const StreamNotes& notes) {
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("StreamDescriptionSummary");
        writer.begin_map();
        write_summary(writer, stream, notes.settings, arns(call));
        write_details(writer, stream, notes.settings);
        writer.integer("OpenShardCount", std::count_if(stream.shards.begin(), stream.shards.end(), [](const auto& shard) { return shard.open; }));
        writer.integer("ConsumerCount", static_cast<int64_t>(notes.consumers.size()));
        writer.integer("MaxRecordSizeInKiB", static_cast<int64_t>(stream.record_bytes_max / 1024));
        if (notes.settings.warm_mibps != 0) {
            writer.name("WarmThroughput");
            write_warm_throughput(writer, notes.settings.warm_mibps);
        }
        if (notes.settings.on_demand) writer.text("RecordDistributionStrategy", notes.settings.automatic ? "AUTO" : "USER_PARTITION_KEY");
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
        const auto notes = control.list_notes({}, kSettingsNote);
        if (!notes) return notes.error();
        std::map<std::string, StreamSettings> settings;
        for (const client::Note& each : *notes) settings.emplace(each.stream, parse_settings(each.text));
        auto& streams = *listed;
        std::sort(streams.begin(), streams.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
        // Who may not see a stream is not told that it is there.
        std::erase_if(streams, [&](const auto& stream) { return (stream.name <= after && !after.empty()) || !may_see(call, stream.name); });
        const bool more = streams.size() > count_max;
        if (more) streams.resize(count_max);
        return ControlPool::Completion([this, call, streams = std::move(streams), settings = std::move(settings), more] {
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
                const auto own = settings.find(stream.name);
                write_summary(writer, stream, own == settings.end() ? StreamSettings{} : own->second, arns(call));
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
        const auto notes = control.list_notes({}, kSettingsNote);
        if (!notes) return notes.error();
        const auto on_demand = std::count_if(notes->begin(), notes->end(), [](const client::Note& each) { return parse_settings(each.text).on_demand; });
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
