#include "control/catalog/sqlite_groups.h"

#include <algorithm>
#include <string_view>

#include "control/catalog/sqlite_handle.h"

namespace eagre::catalog {
namespace {

/// Of a group's row; 0: there is none.
Result<uint64_t> revision_of(sqlite3* db, GroupId group) {
    Statement query(db, "SELECT revision FROM consumer_groups WHERE id = ?");
    const auto found = query.bind(group.value).step();
    if (!found) return found.error();
    return *found ? query.integer(0) : 0;
}

bool puts(const Change& change, GroupId group) {
    return std::any_of(change.put_groups.begin(), change.put_groups.end(),
                       [group](const GroupRow& row) { return row.id == group; });
}

/// True when `group` is there, or comes with this change.
Result<bool> exists(sqlite3* db, const Change& change, GroupId group) {
    if (puts(change, group)) return true;
    const auto revision = revision_of(db, group);
    if (!revision) return revision.error();
    return *revision != 0;
}

Status put_group(sqlite3* db, const GroupRow& row) {
    Statement taken(db, "SELECT 1 FROM consumer_groups WHERE stream = ? AND name = ? AND id <> ?");
    taken.bind(row.stream.value).bind(std::string_view(row.name)).bind(row.id.value);
    const auto found = taken.step();
    if (!found) return found.error();
    if (*found) return Errc::kGroupExists;
    Statement put(db,
                  "INSERT INTO consumer_groups (id, stream, name, heartbeat_ms, created_ns, revision) "
                  "VALUES (?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET "
                  "heartbeat_ms=excluded.heartbeat_ms, revision=excluded.revision");
    put.bind(row.id.value).bind(row.stream.value).bind(std::string_view(row.name));
    return put.bind(row.heartbeat_ms).bind(row.created_ns).bind(row.revision).run();
}

Status put_leases(sqlite3* db, const std::vector<LeaseRow>& rows) {
    Statement put(db,
                  "INSERT OR REPLACE INTO leases (consumer_group, shard, token, member, next, ended, "
                  "checkpoint_ns) VALUES (?,?,?,?,?,?,?)");
    for (const LeaseRow& row : rows) {
        put.bind(row.group.value).bind(row.shard.value).bind(row.token);
        put.bind(std::string_view(row.member)).bind(row.next.value).bind(uint64_t{row.ended});
        if (const auto run = put.bind(row.checkpoint_ns).run(); !run) return run;
        put.reset();
    }
    return {};
}

Status put_members(sqlite3* db, const std::vector<MemberRow>& rows) {
    Statement put(db,
                  "INSERT OR REPLACE INTO members (consumer_group, name, session, joined_ns) VALUES "
                  "(?,?,?,?)");
    for (const MemberRow& row : rows) {
        put.bind(row.group.value).bind(std::string_view(row.name)).bind(row.session);
        if (const auto run = put.bind(row.joined_ns).run(); !run) return run;
        put.reset();
    }
    return {};
}

}  // namespace

Result<std::vector<GroupRow>> read_groups(sqlite3* db) {
    Statement query(db,
                    "SELECT id, stream, name, heartbeat_ms, created_ns, revision FROM "
                    "consumer_groups ORDER BY id");
    std::vector<GroupRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return rows;
        GroupRow row;
        row.id = GroupId(query.integer(0));
        row.stream = StreamId(query.integer(1));
        row.name = query.text(2);
        row.heartbeat_ms = query.integer(3);
        row.created_ns = query.integer(4);
        row.revision = query.integer(5);
        if (row.id.value == 0 || row.heartbeat_ms == 0) return Errc::kCorruptDirectory;
        rows.push_back(std::move(row));
    }
}

Result<std::vector<LeaseRow>> read_leases(sqlite3* db, GroupId group) {
    Statement query(db,
                    "SELECT shard, token, member, next, ended, checkpoint_ns FROM leases WHERE "
                    "consumer_group = ? ORDER BY shard");
    query.bind(group.value);
    std::vector<LeaseRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return rows;
        LeaseRow row;
        row.group = group;
        row.shard = ShardId(query.integer(0));
        row.token = query.integer(1);
        row.member = query.text(2);
        row.next = SequenceNumber(query.integer(3));
        row.ended = query.integer(4) != 0;
        row.checkpoint_ns = query.integer(5);
        rows.push_back(std::move(row));
    }
}

Result<std::vector<MemberRow>> read_members(sqlite3* db, GroupId group) {
    Statement query(db,
                    "SELECT name, session, joined_ns FROM members WHERE consumer_group = ? ORDER BY "
                    "name");
    query.bind(group.value);
    std::vector<MemberRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return rows;
        rows.push_back({group, query.text(0), query.integer(1), query.integer(2)});
    }
}

Result<bool> group_revisions_are(sqlite3* db, const Change& change) {
    for (const GroupRow& row : change.put_groups) {
        const auto stored = revision_of(db, row.id);
        if (!stored) return stored.error();
        if (*stored != row.revision) return false;
    }
    for (const GroupId group : change.delete_groups) {
        const auto stored = revision_of(db, group);
        if (!stored) return stored.error();
        if (*stored == 0) return false;
    }
    GroupId known;
    const auto check = [&](GroupId group) -> Result<bool> {
        if (group == known) return true;  // Rows of a group come in a row.
        known = group;
        return exists(db, change, group);
    };
    for (const LeaseRow& row : change.put_leases) {
        const auto there = check(row.group);
        if (!there || !*there) return there;
    }
    for (const MemberRow& row : change.put_members) {
        const auto there = check(row.group);
        if (!there || !*there) return there;
    }
    return true;
}

Status write_groups(sqlite3* db, const Change& change) {
    Statement drop_group(db, "DELETE FROM consumer_groups WHERE id = ?");
    for (const GroupId group : change.delete_groups) {
        if (const auto run = drop_group.bind(group.value).run(); !run) return run;
        drop_group.reset();
    }
    Statement drop_lease(db, "DELETE FROM leases WHERE consumer_group = ? AND shard = ?");
    for (const LeaseRow& row : change.delete_leases) {
        if (const auto run = drop_lease.bind(row.group.value).bind(row.shard.value).run(); !run)
            return run;
        drop_lease.reset();
    }
    Statement drop_member(db, "DELETE FROM members WHERE consumer_group = ? AND name = ?");
    for (const MemberRow& row : change.delete_members) {
        drop_member.bind(row.group.value).bind(std::string_view(row.name));
        if (const auto run = drop_member.run(); !run) return run;
        drop_member.reset();
    }
    for (const GroupRow& row : change.put_groups) {
        if (const auto put = put_group(db, row); !put) return put;
    }
    if (const auto put = put_leases(db, change.put_leases); !put) return put;
    return put_members(db, change.put_members);
}

}  // namespace eagre::catalog
