// Shards: listing with filters and pages, splitting, merging, scaling.
#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/document/base64.h"
#include "control/gateway/gateway.h"

namespace eagre::gateway {
namespace {

constexpr int64_t kListLimitDefault = 1000;

/// Where a listing of shards goes on: "ms of its making/last shard/stream", base64. Not signed: it opens no door.
std::string page_token(uint64_t made_ms, uint64_t after, std::string_view stream) {
    std::string text;
    append_base64(text, fmt::format("{}/{}/{}", made_ms, after, stream));
    return text;
}
struct Page {
    uint64_t made_ms = 0;
    uint64_t after = 0;  // Number of its last shard.
    std::string stream;
};
std::optional<Page> open_page_token(std::string_view text) {
    const auto bytes = decode_base64(text);
    if (!bytes) return std::nullopt;
    const size_t first = bytes->find('/');
    const size_t second = first == bytes->npos ? first : bytes->find('/', first + 1);
    if (second == bytes->npos) return std::nullopt;
    Page page;
    const char* const begin = bytes->data();
    const auto made = std::from_chars(begin, begin + first, page.made_ms);
    const auto after = std::from_chars(begin + first + 1, begin + second, page.after);
    if (made.ptr != begin + first || after.ptr != begin + second) return std::nullopt;
    page.stream = bytes->substr(second + 1);
    return page;
}

/// The shards among which a filter chooses: those with something to read, and the open ones.
bool is_chosen(const client::ShardDescription& shard, const std::string& filter, uint64_t after) {
    if (filter == "AFTER_SHARD_ID") return shard_number(shard.id, shard.ordinal) > after;
    if (filter == "AT_LATEST") return shard.open;
    return true;
}

}  // namespace

void Gateway::write_shard(Writer& writer, const client::StreamDescription& stream, const client::ShardDescription& shard) {
    const SequenceNumbers numbers(stream.created_ns, shard.id);
    writer.begin_map();
    writer.text("ShardId", name_of(shard));
    // A parent that retention has taken is not told any more.
    if (const auto* parent = find_shard(stream, shard.parent); parent != nullptr) writer.text("ParentShardId", name_of(*parent));
    if (const auto* parent = find_shard(stream, shard.adjacent_parent); parent != nullptr) writer.text("AdjacentParentShardId", name_of(*parent));
    writer.name("HashKeyRange");
    writer.begin_map();
    writer.text("StartingHashKey", hash_key_text(shard.range.starting));
    writer.text("EndingHashKey", hash_key_text(shard.range.ending));
    writer.end_map();
    writer.name("SequenceNumberRange");
    writer.begin_map();
    writer.text("StartingSequenceNumber", numbers.text(shard.first_sequence));
    if (!shard.open) {
        const uint64_t last = std::max(shard.next_sequence.value, shard.first_sequence.value + 1) - 1;
        writer.text("EndingSequenceNumber", numbers.text(SequenceNumber{last}));
    }
    writer.end_map();
    writer.end_map();
}

void Gateway::list_shards(const Call& call, const Node& input) {
    const Node* token = input.member("NextToken");
    const Node* start = input.member("ExclusiveStartShardId");
    std::string name;
    std::optional<uint64_t> after;
    if (token != nullptr) {
        for (const char* other : {"StreamName", "StreamARN", "ExclusiveStartShardId", "StreamCreationTimestamp"}) {
            if (input.member(other) != nullptr) return fail(call, invalid_argument(fmt::format("NextToken and {} cannot be provided together.", other)));
        }
        const auto page = open_page_token(token->text);
        if (!page) return fail(call, invalid_argument("NextToken is invalid."));
        if (now_ms() > page->made_ms + kIteratorMs)
            return fail(call, ApiError{"ExpiredNextTokenException", "The NextToken is older than 300 seconds; list again from the beginning."});
        name = page->stream;
        after = page->after;
    } else if (!stream_name(call, input, name)) {
        return;
    }
    if (start != nullptr) {
        const auto shard = parse_shard_name(start->text);
        if (!shard) return fail(call, invalid_argument(fmt::format("ExclusiveStartShardId {} is no shard's id.", start->text)));
        after = *shard;
    }
    std::string filter;
    uint64_t filter_after = 0;
    if (const Node* said = input.member("ShardFilter"); said != nullptr) {
        filter = said->member("Type")->text;
        const Node* shard = said->member("ShardId");
        if (filter == "AFTER_SHARD_ID") {
            const auto id = shard == nullptr ? std::nullopt : parse_shard_name(shard->text);
            if (!id) return fail(call, invalid_argument("ShardFilter of Type AFTER_SHARD_ID needs a ShardId."));
            filter_after = *id;
        }
        const bool by_time = filter == "AT_TIMESTAMP" || filter == "FROM_TIMESTAMP";
        if (by_time && said->member("Timestamp") == nullptr) return fail(call, invalid_argument(fmt::format("ShardFilter of Type {} needs a Timestamp.", filter)));
        if (by_time) return fail(call, not_available(fmt::format("ShardFilter of Type {} is not available here; AT_TRIM_HORIZON and AT_LATEST are.", filter)));
    }
    const Node* limit = input.member("MaxResults");
    const auto count_max = static_cast<size_t>(limit == nullptr ? kListLimitDefault : limit->integer);
    with_description(call, name, [this, call, name, after, filter, filter_after, count_max](const client::StreamDescription& stream) {
        // At the trim horizon: what has no parent there any more, so that together they cover all keys.
        const auto is_known = [&](ShardId shard) {
            return std::any_of(stream.shards.begin(), stream.shards.end(), [shard](const auto& each) { return each.id == shard; });
        };
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("Shards");
        writer.begin_list();
        size_t count = 0;
        uint64_t last = 0;
        bool more = false;
        for (const client::ShardDescription& shard : stream.shards) {
            if ((after && number_of(shard) <= *after) || !is_chosen(shard, filter, filter_after)) continue;
            if (filter == "AT_TRIM_HORIZON" && (is_known(shard.parent) || is_known(shard.adjacent_parent))) continue;
            more = count == count_max;
            if (more) break;
            write_shard(writer, stream, shard);
            last = number_of(shard);
            ++count;
        }
        writer.end_list();
        if (more) writer.text("NextToken", page_token(now_ms(), last, name));
        writer.end_map();
        answer(call, writer);
    });
}

void Gateway::split_shard(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const std::string_view key_text = input.member("NewStartingHashKey")->text;
    const auto key = parse_hash_key(key_text);
    if (!key) return fail(call, invalid_argument(fmt::format("NewStartingHashKey {} is not below 2^128.", key_text)));
    const client::StreamDescription* map = nullptr;
    const auto* shard = named_shard(call, name, input.member("ShardToSplit")->text, map);
    if (shard == nullptr) return;
    submit(call, name, [this, call, name, shard = shard->id, key = *key](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto stream = control.split_shard(name, shard, key);
        // Written down and under way is what the service answers, too.
        if (!stream && stream.error().code != Errc::kTimeout) return stream.error();
        return ControlPool::Completion([this, call] { answer_empty(call); });
    });
}

void Gateway::merge_shards(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    ShardId shards[2];
    const std::string_view members[] = {"ShardToMerge", "AdjacentShardToMerge"};
    for (size_t i = 0; i < 2; ++i) {
        const client::StreamDescription* map = nullptr;
        const auto* shard = named_shard(call, name, input.member(members[i])->text, map);
        if (shard == nullptr) return;
        shards[i] = shard->id;
    }
    submit(call, name, [this, call, name, one = shards[0], other = shards[1]](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto stream = control.merge_shards(name, one, other);
        if (!stream && stream.error().code != Errc::kTimeout) return stream.error();
        return ControlPool::Completion([this, call] { answer_empty(call); });
    });
}

void Gateway::update_shard_count(const Call& call, const Node& input) {
    std::string name;
    if (!stream_name(call, input, name)) return;
    const int64_t target = input.member("TargetShardCount")->integer;
    if (target > options_.shard_quota)
        return fail(call, limit_exceeded(fmt::format("TargetShardCount {} is above the account's quota of {} shards. See --shard-quota.", target, options_.shard_quota)));
    submit(call, name, [this, call, name, target](client::ControlClient& control) -> Result<ControlPool::Completion> {
        const auto before = control.describe_stream(name);
        if (!before) return before.error();
        const auto current = std::count_if(before->shards.begin(), before->shards.end(), [](const auto& shard) { return shard.open; });
        if (target > 2 * current || 2 * target < current) {
            return ControlPool::Completion([this, call, target, current] {
                fail(call, limit_exceeded(fmt::format("UpdateShardCount cannot scale to {} shards: at most double and at least half of the current {} open shards.", target, current)));
            });
        }
        const auto scaled = control.scale_stream(name, static_cast<uint32_t>(target));
        if (!scaled && scaled.error().code != Errc::kTimeout) return scaled.error();
        return ControlPool::Completion([this, call, name, current, target] {
            Writer writer(call.encoding);
            writer.begin_map();
            writer.text("StreamName", name);
            writer.integer("CurrentShardCount", current);
            writer.integer("TargetShardCount", target);
            writer.text("StreamARN", options_.arns.stream(name));
            writer.end_map();
            answer(call, writer);
        });
    });
}

}  // namespace eagre::gateway
