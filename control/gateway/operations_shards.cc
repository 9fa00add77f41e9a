// Shards: listing with filters and pages, splitting, merging, scaling.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "control/gateway/gateway.h"
#include "control/gateway/model/page_token.h"

namespace eagre::gateway {
namespace {

constexpr int64_t kListLimitDefault = 1000;

struct Filter {
    std::string type;
    uint64_t after = 0;     // AFTER_SHARD_ID: a shard's number.
    uint64_t time_ns = 0;   // ..._TIMESTAMP: since 1970.
};

/// Where a listing of shards goes on, and what it was asked for: a token comes alone.
std::string place_text(uint64_t last, const Filter& filter) { return fmt::format("{}:{}:{}:{}", last, filter.type, filter.after, filter.time_ns); }

bool parse_place(std::string_view text, uint64_t& last, Filter& filter) {
    std::array<std::string_view, 4> parts;
    for (size_t i = 0; i < parts.size(); ++i) {
        const size_t colon = text.find(':');
        if ((colon == text.npos) != (i + 1 == parts.size())) return false;
        parts[i] = text.substr(0, colon);
        text.remove_prefix(std::min(text.size(), parts[i].size() + 1));
    }
    const auto number = [](std::string_view digits, uint64_t& value) {
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        return error == std::errc() && end == digits.data() + digits.size();
    };
    filter.type = parts[1];
    return number(parts[0], last) && number(parts[2], filter.after) && number(parts[3], filter.time_ns);
}

/// What filters need to know of all shards of a stream.
class Lineage {
  public:
    explicit Lineage(const std::vector<client::ShardDescription>& shards) {
        for (const client::ShardDescription& each : shards) {
            there_.insert(each.id.value);
            for (const ShardId parent : {each.parent, each.adjacent_parent}) {
                auto& closed = closed_ns_.try_emplace(parent.value, UINT64_MAX).first->second;
                closed = std::min(closed, each.opened_ns);
            }
        }
    }
    /// Retention has taken its parents, or it never had any.
    bool is_first(const client::ShardDescription& shard) const { return !there_.contains(shard.parent.value) && !there_.contains(shard.adjacent_parent.value); }
    /// When it gave way to its children: their opening. An open one has not yet.
    uint64_t closed_ns(const client::ShardDescription& shard) const {
        const auto found = closed_ns_.find(shard.id.value);
        return found == closed_ns_.end() ? UINT64_MAX : found->second;
    }

  private:
    std::unordered_set<uint64_t> there_;
    std::unordered_map<uint64_t, uint64_t> closed_ns_;
};

/// At one moment the shards chosen cover all keys once: at the trim horizon those without a parent that is still there, later those that
/// had been opened and not closed.
bool is_chosen(const Lineage& lineage, const client::ShardDescription& shard, const Filter& filter) {
    if (filter.type == "AFTER_SHARD_ID") return shard_number(shard.id, shard.ordinal) > filter.after;
    if (filter.type == "AT_LATEST") return shard.open;
    if (filter.type == "AT_TRIM_HORIZON") return lineage.is_first(shard);
    if (filter.type == "FROM_TIMESTAMP") return lineage.closed_ns(shard) > filter.time_ns;
    if (filter.type == "AT_TIMESTAMP") return (lineage.is_first(shard) || shard.opened_ns <= filter.time_ns) && lineage.closed_ns(shard) > filter.time_ns;
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

void Gateway::write_children(Writer& writer, std::span<const client::ShardDescription> shards, ShardId parent) {
    writer.begin_list();
    for (const client::ShardDescription& each : shards) {
        if (each.parent != parent && each.adjacent_parent != parent) continue;
        writer.begin_map();
        writer.text("ShardId", name_of(each));
        writer.name("ParentShards");
        writer.begin_list();
        for (const ShardId id : {each.parent, each.adjacent_parent}) {
            const auto known = std::find_if(shards.begin(), shards.end(), [id](const auto& shard) { return shard.id == id; });
            if (known != shards.end()) writer.text(name_of(*known));
        }
        writer.end_list();
        writer.name("HashKeyRange");
        writer.begin_map();
        writer.text("StartingHashKey", hash_key_text(each.range.starting));
        writer.text("EndingHashKey", hash_key_text(each.range.ending));
        writer.end_map();
        writer.end_map();
    }
    writer.end_list();
}

void Gateway::list_shards(const Call& call, const Node& input) {
    const Node* token = input.member("NextToken");
    const Node* start = input.member("ExclusiveStartShardId");
    std::string name;
    std::optional<uint64_t> after;
    Filter filter;
    if (token != nullptr) {
        for (const char* other : {"StreamName", "StreamARN", "ExclusiveStartShardId", "StreamCreationTimestamp"}) {
            if (input.member(other) != nullptr) return fail(call, invalid_argument(fmt::format("NextToken and {} cannot be provided together.", other)));
        }
        const auto page = open_page_token(token->text);
        uint64_t last = 0;
        if (!page || !parse_place(page->after, last, filter)) return fail(call, invalid_argument("NextToken is invalid."));
        if (now_ms() > page->made_ms + kIteratorMs)
            return fail(call, ApiError{"ExpiredNextTokenException", "The NextToken is older than 300 seconds; list again from the beginning."});
        name = page->stream;
        after = last;
        if (!permit(call, name)) return;
    } else if (!stream_name(call, input, name)) {
        return;
    }
    if (start != nullptr) {
        const auto shard = parse_shard_name(start->text);
        if (!shard) return fail(call, invalid_argument(fmt::format("ExclusiveStartShardId {} is no shard's id.", start->text)));
        after = *shard;
    }
    if (const Node* said = input.member("ShardFilter"); said != nullptr && token == nullptr) {
        filter.type = said->member("Type")->text;
        const Node* shard = said->member("ShardId");
        const Node* time = said->member("Timestamp");
        if (filter.type == "AFTER_SHARD_ID") {
            const auto id = shard == nullptr ? std::nullopt : parse_shard_name(shard->text);
            if (!id) return fail(call, invalid_argument("ShardFilter of Type AFTER_SHARD_ID needs a ShardId."));
            filter.after = *id;
        }
        if (filter.type.ends_with("_TIMESTAMP")) {
            if (time == nullptr) return fail(call, invalid_argument(fmt::format("ShardFilter of Type {} needs a Timestamp.", filter.type)));
            filter.time_ns = time_ms_of(*time) * 1'000'000;
        }
    }
    const Node* made = input.member("StreamCreationTimestamp");
    const uint64_t made_ms = made == nullptr ? 0 : time_ms_of(*made);
    const Node* limit = input.member("MaxResults");
    const auto count_max = static_cast<size_t>(limit == nullptr ? kListLimitDefault : limit->integer);
    with_description(call, name, [this, call, name, after, filter, made_ms, count_max](const client::StreamDescription& stream, const StreamNotes&) {
        // Another stream had this name before, and that one was meant.
        if (made_ms != 0 && made_ms / 1000 != stream.created_ns / 1'000'000'000)
            return fail(call, not_found(fmt::format("Stream {} under account {} not found.", name, options_.arns.account)));
        const Lineage lineage(stream.shards);
        Writer writer(call.encoding);
        writer.begin_map();
        writer.name("Shards");
        writer.begin_list();
        size_t count = 0;
        uint64_t last = 0;
        bool more = false;
        for (const client::ShardDescription& shard : stream.shards) {
            if ((after && number_of(shard) <= *after) || !is_chosen(lineage, shard, filter)) continue;
            more = count == count_max;
            if (more) break;
            write_shard(writer, stream, shard);
            last = number_of(shard);
            ++count;
        }
        writer.end_list();
        if (more) writer.text("NextToken", PageToken{now_ms(), name, place_text(last, filter)}.text());
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
        const auto notes = control.list_notes(name, kSettingsNote);
        if (!notes) return notes.error();
        if (read_stream_notes(*notes, name).settings.on_demand) {
            return ControlPool::Completion([this, call, name] {
                fail(call, validation(fmt::format("Stream {} is in ON_DEMAND mode: its number of shards is not to be set.", name)));
            });
        }
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
            writer.text("StreamARN", arns(call).stream(name));
            writer.end_map();
            answer(call, writer);
        });
    });
}

}  // namespace eagre::gateway
