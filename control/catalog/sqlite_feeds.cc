#include "control/catalog/sqlite_feeds.h"

#include <string_view>

#include "control/catalog/sqlite_handle.h"
#include "wire/feeds/spec/feed_codec.h"

namespace eagre::catalog {
namespace {

Result<bool> revision_is(sqlite3* db, uint32_t id, uint64_t expected) {
    Statement query(db, "SELECT revision FROM feeds WHERE id = ?");
    const auto found = query.bind(uint64_t{id}).step();
    if (!found) return found.error();
    return (*found ? query.integer(0) : 0) == expected;
}

}  // namespace

Result<std::vector<FeedRow>> read_feeds(sqlite3* db) {
    Statement query(db, "SELECT id, spec, revision FROM feeds ORDER BY id");
    std::vector<FeedRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return rows;
        // As the dataplane keeps it, a set of one: checked, with its CRC.
        const auto set = feeds::decode_feed_file(query.blob(1));
        if (!set || (*set)->feeds.size() != 1 || (*set)->feeds.front().id != query.integer(0)) return Errc::kCorruptDirectory;
        rows.push_back({(*set)->feeds.front(), query.integer(2)});
    }
}

Result<bool> feed_revisions_are(sqlite3* db, const Change& change) {
    for (const FeedVersion& each : change.delete_feeds) {
        const auto expected = revision_is(db, each.id, each.revision);
        if (!expected || !*expected) return expected;
    }
    for (const FeedRow& row : change.put_feeds) {
        const auto expected = revision_is(db, row.spec.id, row.revision);
        if (!expected || !*expected) return expected;
    }
    return true;
}

Status write_feeds(sqlite3* db, const Change& change) {
    Statement drop(db, "DELETE FROM feeds WHERE id = ?");
    for (const FeedVersion& each : change.delete_feeds) {
        if (const auto run = drop.bind(uint64_t{each.id}).run(); !run) return run;
        drop.reset();
    }
    for (const FeedRow& row : change.put_feeds) {
        Statement taken(db, "SELECT 1 FROM feeds WHERE name = ? AND id <> ?");
        const auto found = taken.bind(std::string_view(row.spec.name)).bind(uint64_t{row.spec.id}).step();
        if (!found) return found.error();
        if (*found) return Errc::kFeedExists;
        Statement put(db, "INSERT OR REPLACE INTO feeds (id, name, spec, revision) VALUES (?,?,?,?)");
        put.bind(uint64_t{row.spec.id}).bind(std::string_view(row.spec.name));
        put.bind_blob(feeds::encode_feed_file({row.revision, {row.spec}}));
        if (const auto run = put.bind(row.revision).run(); !run) return run;
    }
    return {};
}

}  // namespace eagre::catalog
