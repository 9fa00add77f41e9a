#include "tools/eagre/group_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/eagre/position.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Lag {
    bool known = false;
    uint64_t records = 0;
    uint64_t bytes = 0;
    uint64_t since_ns = 0;
};

uint64_t age_ns(uint64_t since_ns, uint64_t now_ns) {
    return since_ns == 0 ? 0 : now_ns - std::min(now_ns, since_ns);
}

Json lag_json(const Lag& lag, uint64_t now_ns) {
    if (!lag.known) return nullptr;
    return {{"records", lag.records}, {"bytes", lag.bytes}, {"age_ms", age_ns(lag.since_ns, now_ns) / 1'000'000}};
}

/// Three cells: records, bytes, age of the oldest.
std::vector<std::string> lag_cells(const Lag& lag, uint64_t now_ns) {
    if (!lag.known) return {"?", "?", "?"};
    if (lag.records == 0) return {"0", "0 B", "-"};
    return {grouped(lag.records), bytes_text(static_cast<double>(lag.bytes)), duration_text(age_ns(lag.since_ns, now_ns))};
}

std::string state_of(const client::GroupShard& shard) {
    if (shard.ended) return "read to its end";
    if (shard.waits) return "waits for parents";
    if (shard.releasing) return "changes hands";
    return shard.member.empty() ? "nobody reads it" : "leased";
}

Lag lag_of(const client::GroupDescription& group) {
    return {group.known, group.unread_records, group.unread_bytes, group.unread_since_ns};
}

Lag lag_of(const client::GroupShard& shard) {
    return {shard.known, shard.unread_records, shard.unread_bytes, shard.unread_since_ns};
}

}  // namespace

Json group_json(const client::GroupDescription& group, uint64_t now_ns) {
    Json json = {{"stream", group.stream},
                 {"group", group.name},
                 {"created", rfc3339(group.created_ns)},
                 {"heartbeat_ms", group.heartbeat_ms},
                 {"shard_count", group.shard_count},
                 {"lag", lag_json(lag_of(group), now_ns)},
                 {"members", Json::array()}};
    for (const client::GroupMember& member : group.members) {
        json["members"].push_back({{"name", member.name},
                                   {"joined", rfc3339(member.joined_ns)},
                                   {"silent_ms", member.silent_ns / 1'000'000},
                                   {"shard_count", member.shard_count}});
    }
    if (group.shards.empty()) return json;
    json["shards"] = Json::array();
    for (const client::GroupShard& shard : group.shards) {
        Json each = {{"id", shard.shard.value},
                     {"member", shard.member.empty() ? Json() : Json(shard.member)},
                     {"state", state_of(shard)},
                     {"lease", shard.token},
                     {"checkpoint", shard.next.value == 0 ? Json() : Json(shard.next.value)},
                     {"checkpointed", shard.checkpoint_ns == 0 ? Json() : Json(rfc3339(shard.checkpoint_ns))}};
        each["tail"] = shard.known && !shard.ended ? Json(shard.tail.value) : Json();
        each["lag"] = lag_json(lag_of(shard), now_ns);
        json["shards"].push_back(each);
    }
    return json;
}

Table group_table(const std::vector<client::GroupDescription>& groups, uint64_t now_ns) {
    Table table({"stream", "group", "members", "shards", "unread", "bytes", "behind"});
    for (const client::GroupDescription& group : groups) {
        const auto lag = lag_cells(lag_of(group), now_ns);
        table.add({group.stream, group.name, fmt::format("{}", group.member_count), fmt::format("{}", group.shard_count), lag[0], lag[1],
                   lag[2]});
    }
    return table;
}

std::string group_text(const client::GroupDescription& group, uint64_t now_ns) {
    const auto lag = lag_cells(lag_of(group), now_ns);
    std::string text = fmt::format("{} reads {}  ({} members, dead after {} of silence, created {})\n", group.name, group.stream,
                                   group.member_count, duration_ms_text(group.heartbeat_ms), rfc3339(group.created_ns));
    text += fmt::format("unread: {} records, {}, the oldest for {}\n", lag[0], lag[1], lag[2]);
    if (!group.members.empty()) {
        Table members({"member", "shards", "silent for", "joined"});
        for (const client::GroupMember& member : group.members) {
            members.add({member.name, fmt::format("{}", member.shard_count), duration_text(member.silent_ns), rfc3339(member.joined_ns)});
        }
        text += members.text(2);
    }
    Table shards({"shard", "member", "state", "lease", "checkpoint", "tail", "unread", "bytes", "behind"});
    for (const client::GroupShard& shard : group.shards) {
        const auto cells = lag_cells(lag_of(shard), now_ns);
        shards.add({fmt::format("{}", shard.shard.value), shard.member.empty() ? "-" : shard.member, state_of(shard),
                    shard.token == 0 ? "-" : fmt::format("{}", shard.token), shard.next.value == 0 ? "-" : grouped(shard.next.value),
                    shard.known && !shard.ended ? grouped(shard.tail.value) : "-", cells[0], cells[1], cells[2]});
    }
    return text + shards.text(2);
}

}  // namespace eagre::cli
