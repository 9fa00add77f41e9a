#include "control/catalog/sqlite_catalog.h"

#include <array>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "control/catalog/sqlite_feeds.h"
#include "control/catalog/sqlite_groups.h"
#include "control/catalog/sqlite_handle.h"
#include "control/catalog/sqlite_notes.h"
#include "control/catalog/sqlite_schema.h"
#include "control/log/log.h"
#include "wire/base/assert.h"

namespace eagre::catalog {
namespace {

// Big-endian, so that SQLite's comparison of blobs is the order of hash keys.
std::array<std::byte, 16> encode_hash(const HashKey& key) {
    std::array<std::byte, 16> bytes{};
    for (size_t i = 0; i < 8; ++i) {
        bytes[i] = static_cast<std::byte>(key.high >> (56 - 8 * i));
        bytes[8 + i] = static_cast<std::byte>(key.low >> (56 - 8 * i));
    }
    return bytes;
}

Result<HashKey> decode_hash(std::span<const std::byte> bytes) {
    if (bytes.size() != 16) return Errc::kCorruptDirectory;
    HashKey key;
    for (size_t i = 0; i < 8; ++i) {
        key.high = key.high << 8U | std::to_integer<uint64_t>(bytes[i]);
        key.low = key.low << 8U | std::to_integer<uint64_t>(bytes[8 + i]);
    }
    return key;
}

class SqliteCatalog final : public Catalog {
  public:
    explicit SqliteCatalog(Database db) : db_(std::move(db)) {}

    Result<std::vector<StreamRow>> streams() override;
    Result<std::vector<ShardRow>> shards(StreamId stream) override;
    Result<MetaRow> meta() override;
    Result<std::vector<KeyRow>> keys() override;
    Result<std::vector<GroupRow>> groups() override { return read_groups(db_.get()); }
    Result<std::vector<LeaseRow>> leases(GroupId group) override {
        return read_leases(db_.get(), group);
    }
    Result<std::vector<MemberRow>> members(GroupId group) override {
        return read_members(db_.get(), group);
    }
    Result<std::vector<NoteRow>> notes() override { return read_notes(db_.get()); }
    Result<std::vector<FeedRow>> feeds() override { return read_feeds(db_.get()); }
    Result<bool> apply(const Change& change) override;
    void watch(Watcher* watcher) override { watcher_ = watcher; }

  private:
    /// Inside a transaction. False: a revision is not the expected one. Fills in the new revisions.
    Result<bool> apply_rows(Change& change);
    Result<bool> revision_is(StreamId stream, uint64_t expected);
    Status put_stream(const StreamRow& row);
    Status read_tags(StreamRow& row);
    Status put_tags(const StreamRow& row);
    Status put_shards(const std::vector<ShardRow>& rows);
    Status put_meta(const MetaRow& row);
    Status remove(const Change& change);
    Result<bool> key_revision_is(const std::string& id, uint64_t expected);
    Status put_key(const KeyRow& row);

    Database db_;
    Watcher* watcher_ = nullptr;
};

Result<std::vector<StreamRow>> SqliteCatalog::streams() {
    Statement query(db_.get(),
                    "SELECT id, name, state, retention_ms, record_bytes_max, created_ns, "
                    "map_version, revision, retention_bytes, quota_bytes_per_s, "
                    "quota_records_per_s, scale_target FROM streams ORDER BY id");
    std::vector<StreamRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) break;
        StreamRow row;
        row.id = StreamId(query.integer(0));
        row.name = query.text(1);
        const uint64_t state = query.integer(2);
        if (state < 1 || state > 5 || row.id.value == 0) return Errc::kCorruptDirectory;
        row.state = static_cast<StreamState>(state);
        row.retention_ms = query.integer(3);
        row.record_bytes_max = query.integer(4);
        row.created_ns = query.integer(5);
        row.map_version = query.integer(6);
        row.revision = query.integer(7);
        row.retention_bytes = query.integer(8);
        row.quota_bytes_per_s = query.integer(9);
        row.quota_records_per_s = query.integer(10);
        row.scale_target = static_cast<uint32_t>(query.integer(11));
        rows.push_back(std::move(row));
    }
    for (StreamRow& row : rows) {
        if (const auto read = read_tags(row); !read) return read.error();
    }
    return rows;
}

Status SqliteCatalog::read_tags(StreamRow& row) {
    Statement query(db_.get(), "SELECT key, value FROM stream_tags WHERE stream = ?");
    query.bind(row.id.value);
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return {};
        std::string key = query.text(0);
        row.tags[std::move(key)] = query.text(1);
    }
}

Status SqliteCatalog::put_tags(const StreamRow& row) {
    Statement clear(db_.get(), "DELETE FROM stream_tags WHERE stream = ?");
    if (const auto cleared = clear.bind(row.id.value).run(); !cleared) return cleared;
    Statement put(db_.get(), "INSERT INTO stream_tags (stream, key, value) VALUES (?,?,?)");
    for (const auto& [key, value] : row.tags) {
        put.bind(row.id.value).bind(std::string_view(key)).bind(std::string_view(value));
        if (const auto run = put.run(); !run) return run;
        put.reset();
    }
    return {};
}

Result<std::vector<ShardRow>> SqliteCatalog::shards(StreamId stream) {
    Statement query(db_.get(),
                    "SELECT id, starting_hash, ending_hash, parent, adjacent_parent, journal, "
                    "first_sequence, open, ordinal "
                    "FROM shards WHERE stream = ? ORDER BY id");
    query.bind(stream.value);
    std::vector<ShardRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return rows;
        const auto starting = decode_hash(query.blob(1));
        const auto ending = decode_hash(query.blob(2));
        if (!starting || !ending) return Errc::kCorruptDirectory;
        ShardRow row;
        row.id = ShardId(query.integer(0));
        row.stream = stream;
        row.range = {*starting, *ending};
        row.parent = ShardId(query.integer(3));
        row.adjacent_parent = ShardId(query.integer(4));
        row.journal = JournalId(static_cast<uint32_t>(query.integer(5)));
        row.first_sequence = SequenceNumber(query.integer(6));
        row.open = query.integer(7) != 0;
        row.ordinal = static_cast<uint32_t>(query.integer(8));
        rows.push_back(row);
    }
}

Result<MetaRow> SqliteCatalog::meta() {
    Statement query(db_.get(),
                    "SELECT epoch, stream_id_max, shard_id_max, box_id_high, box_id_low, revision, "
                    "key_set_number, feed_set_number, feed_id_max FROM meta WHERE one = 1");
    const auto found = query.step();
    if (!found) return found.error();
    MetaRow row;
    if (!*found) return row;
    row.epoch = Epoch(query.integer(0));
    row.stream_id_max = StreamId(query.integer(1));
    row.shard_id_max = ShardId(query.integer(2));
    row.box_id_high = query.integer(3);
    row.box_id_low = query.integer(4);
    row.revision = query.integer(5);
    row.key_set_number = query.integer(6);
    row.feed_set_number = query.integer(7);
    row.feed_id_max = static_cast<uint32_t>(query.integer(8));
    return row;
}

Result<std::vector<KeyRow>> SqliteCatalog::keys() {
    Statement query(db_.get(),
                    "SELECT id, name, sealed_secret, allow, created_ns, expires_ns, revoked_ns, "
                    "generation, revision FROM keys ORDER BY id");
    std::vector<KeyRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return rows;
        KeyRow row;
        row.id = query.text(0);
        row.name = query.text(1);
        const auto sealed = query.blob(2);
        row.sealed_secret.assign(sealed.begin(), sealed.end());
        row.allow = query.text(3);
        row.created_ns = query.integer(4);
        row.expires_ns = query.integer(5);
        row.revoked_ns = query.integer(6);
        row.generation = query.integer(7);
        row.revision = query.integer(8);
        rows.push_back(std::move(row));
    }
}

Result<bool> SqliteCatalog::apply(const Change& change) {
    if (const auto begun = execute(db_.get(), "BEGIN IMMEDIATE"); !begun) return begun.error();
    Change applied = change;
    auto done = apply_rows(applied);
    if (done && *done) {
        if (const auto committed = execute(db_.get(), "COMMIT"); !committed)
            done = committed.error();
    }
    if (!done || !*done) {
        // Some errors (a full disk) have rolled back already; then this is refused, which changes
        // nothing.
        [[maybe_unused]] const auto rolled_back = execute(db_.get(), "ROLLBACK");
        return done;
    }
    if (watcher_ != nullptr) watcher_->on_change(applied);
    return true;
}

Result<bool> SqliteCatalog::apply_rows(Change& change) {
    for (const StreamVersion& version : change.delete_streams) {
        const auto expected = revision_is(version.id, version.revision);
        if (!expected || !*expected) return expected;
    }
    for (const StreamRow& row : change.put_streams) {
        const auto expected = revision_is(row.id, row.revision);
        if (!expected || !*expected) return expected;
    }
    if (change.put_meta) {
        const auto stored = meta();
        if (!stored) return stored.error();
        if (stored->revision != change.put_meta->revision) return false;
        // Ids and epochs would be used twice.
        EAGRE_ASSERT_GE(change.put_meta->stream_id_max.value, stored->stream_id_max.value);
        EAGRE_ASSERT_GE(change.put_meta->shard_id_max.value, stored->shard_id_max.value);
        EAGRE_ASSERT_GE(change.put_meta->epoch.value, stored->epoch.value);
        EAGRE_ASSERT_GE(change.put_meta->key_set_number, stored->key_set_number);
        EAGRE_ASSERT_GE(change.put_meta->feed_set_number, stored->feed_set_number);
        EAGRE_ASSERT_GE(change.put_meta->feed_id_max, stored->feed_id_max);
    }
    for (const KeyVersion& version : change.delete_keys) {
        const auto expected = key_revision_is(version.id, version.revision);
        if (!expected || !*expected) return expected;
    }
    for (const KeyRow& row : change.put_keys) {
        const auto expected = key_revision_is(row.id, row.revision);
        if (!expected || !*expected) return expected;
    }
    const auto notes_expected = note_revisions_are(db_.get(), change);
    if (!notes_expected || !*notes_expected) return notes_expected;
    const auto feeds_expected = feed_revisions_are(db_.get(), change);
    if (!feeds_expected || !*feeds_expected) return feeds_expected;
    const auto groups_expected = group_revisions_are(db_.get(), change);
    if (!groups_expected || !*groups_expected) return groups_expected;
    Statement next(db_.get(), "UPDATE revision SET value = value + 1 RETURNING value");
    const auto stepped = next.step();
    if (!stepped) return stepped.error();
    if (!*stepped) return Errc::kCorruptDirectory;
    const uint64_t revision = next.integer(0);
    if (const auto finished = next.run(); !finished) return finished.error();

    if (const auto removed = remove(change); !removed) return removed.error();
    for (StreamRow& row : change.put_streams) {
        row.revision = revision;
        if (const auto put = put_stream(row); !put) return put.error();
    }
    if (const auto put = put_shards(change.put_shards); !put) return put.error();
    if (change.put_meta) {
        change.put_meta->revision = revision;
        if (const auto put = put_meta(*change.put_meta); !put) return put.error();
    }
    for (KeyRow& row : change.put_keys) {
        row.revision = revision;
        if (const auto put = put_key(row); !put) return put.error();
    }
    for (NoteRow& row : change.put_notes) row.revision = revision;
    if (const auto written = write_notes(db_.get(), change); !written) return written.error();
    for (FeedRow& row : change.put_feeds) row.revision = revision;
    if (const auto written = write_feeds(db_.get(), change); !written) return written.error();
    if (!change.has_groups()) return true;
    for (GroupRow& row : change.put_groups) row.revision = revision;
    if (const auto written = write_groups(db_.get(), change); !written) return written.error();
    return true;
}

Result<bool> SqliteCatalog::key_revision_is(const std::string& id, uint64_t expected) {
    Statement query(db_.get(), "SELECT revision FROM keys WHERE id = ?");
    const auto found = query.bind(std::string_view(id)).step();
    if (!found) return found.error();
    return (*found ? query.integer(0) : 0) == expected;
}

Status SqliteCatalog::put_key(const KeyRow& row) {
    Statement taken(db_.get(),
                    "SELECT 1 FROM keys WHERE name = ? AND id <> ? AND revoked_ns = 0 AND ? = 0");
    taken.bind(std::string_view(row.name)).bind(std::string_view(row.id)).bind(row.revoked_ns);
    const auto found = taken.step();
    if (!found) return found.error();
    if (*found) return Errc::kKeyExists;
    Statement put(db_.get(),
                  "INSERT INTO keys (id, name, sealed_secret, allow, created_ns, expires_ns, "
                  "revoked_ns, generation, revision) VALUES (?,?,?,?,?,?,?,?,?) "
                  "ON CONFLICT (id) DO UPDATE SET name=excluded.name, "
                  "sealed_secret=excluded.sealed_secret, allow=excluded.allow, "
                  "expires_ns=excluded.expires_ns, revoked_ns=excluded.revoked_ns, "
                  "generation=excluded.generation, revision=excluded.revision");
    put.bind(std::string_view(row.id)).bind(std::string_view(row.name));
    put.bind_blob(row.sealed_secret).bind(std::string_view(row.allow));
    put.bind(row.created_ns).bind(row.expires_ns).bind(row.revoked_ns);
    return put.bind(row.generation).bind(row.revision).run();
}

Result<bool> SqliteCatalog::revision_is(StreamId stream, uint64_t expected) {
    Statement query(db_.get(), "SELECT revision FROM streams WHERE id = ?");
    const auto found = query.bind(stream.value).step();
    if (!found) return found.error();
    return (*found ? query.integer(0) : 0) == expected;
}

Status SqliteCatalog::remove(const Change& change) {
    Statement drop_stream(db_.get(), "DELETE FROM streams WHERE id = ?");
    for (const StreamVersion& version : change.delete_streams) {
        if (const auto run = drop_stream.bind(version.id.value).run(); !run) return run;
        drop_stream.reset();
    }
    Statement drop_shard(db_.get(), "DELETE FROM shards WHERE id = ?");
    for (const ShardId shard : change.delete_shards) {
        if (const auto run = drop_shard.bind(shard.value).run(); !run) return run;
        drop_shard.reset();
    }
    Statement drop_key(db_.get(), "DELETE FROM keys WHERE id = ?");
    for (const KeyVersion& version : change.delete_keys) {
        if (const auto run = drop_key.bind(std::string_view(version.id)).run(); !run) return run;
        drop_key.reset();
    }
    return {};
}

Status SqliteCatalog::put_stream(const StreamRow& row) {
    Statement taken(db_.get(), "SELECT 1 FROM streams WHERE name = ? AND id <> ?");
    const auto found = taken.bind(row.name).bind(row.id.value).step();
    if (!found) return found.error();
    if (*found) return Errc::kStreamExists;
    Statement put(db_.get(),
                  "INSERT INTO streams (id, name, state, retention_ms, record_bytes_max, "
                  "created_ns, map_version, revision, retention_bytes, quota_bytes_per_s, "
                  "quota_records_per_s, scale_target) "
                  "VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET "
                  "name=excluded.name, "
                  "state=excluded.state, "
                  "retention_ms=excluded.retention_ms, record_bytes_max=excluded.record_bytes_max, "
                  "created_ns=excluded.created_ns, "
                  "map_version=excluded.map_version, revision=excluded.revision, "
                  "retention_bytes=excluded.retention_bytes, "
                  "quota_bytes_per_s=excluded.quota_bytes_per_s, "
                  "quota_records_per_s=excluded.quota_records_per_s, "
                  "scale_target=excluded.scale_target");
    put.bind(row.id.value)
        .bind(row.name)
        .bind(static_cast<uint64_t>(row.state))
        .bind(row.retention_ms);
    put.bind(row.record_bytes_max)
        .bind(row.created_ns)
        .bind(row.map_version)
        .bind(row.revision)
        .bind(row.retention_bytes)
        .bind(row.quota_bytes_per_s)
        .bind(row.quota_records_per_s)
        .bind(uint64_t{row.scale_target});
    if (const auto run = put.run(); !run) return run;
    return put_tags(row);
}

Status SqliteCatalog::put_shards(const std::vector<ShardRow>& rows) {
    Statement put(
        db_.get(),
        "INSERT INTO shards (id, stream, starting_hash, ending_hash, parent, adjacent_parent, "
        "journal, first_sequence, open, ordinal) "
        "VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET stream=excluded.stream, "
        "starting_hash=excluded.starting_hash, ending_hash=excluded.ending_hash, "
        "parent=excluded.parent, "
        "adjacent_parent=excluded.adjacent_parent, journal=excluded.journal, "
        "first_sequence=excluded.first_sequence, "
        "open=excluded.open, ordinal=excluded.ordinal");
    for (const ShardRow& row : rows) {
        put.bind(row.id.value).bind(row.stream.value);
        put.bind_blob(encode_hash(row.range.starting)).bind_blob(encode_hash(row.range.ending));
        put.bind(row.parent.value)
            .bind(row.adjacent_parent.value)
            .bind(uint64_t{row.journal.value});
        if (const auto run = put.bind(row.first_sequence.value).bind(uint64_t{row.open}).bind(uint64_t{row.ordinal}).run();
            !run)
            return run;
        put.reset();
    }
    return {};
}

Status SqliteCatalog::put_meta(const MetaRow& row) {
    Statement put(db_.get(),
                  "INSERT OR REPLACE INTO meta (one, epoch, stream_id_max, shard_id_max, "
                  "box_id_high, box_id_low, revision, key_set_number, feed_set_number, feed_id_max) "
                  "VALUES (1,?,?,?,?,?,?,?,?,?)");
    put.bind(row.epoch.value).bind(row.stream_id_max.value).bind(row.shard_id_max.value);
    put.bind(row.box_id_high).bind(row.box_id_low).bind(row.revision);
    return put.bind(row.key_set_number).bind(row.feed_set_number).bind(uint64_t{row.feed_id_max}).run();
}

/// Opens, checks and migrates. kCorruptDirectory also for a sound SQLite file that is not a
/// catalogue of ours.
Result<std::unique_ptr<SqliteCatalog>> open_checked(const std::string& path) {
    sqlite3* raw = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &raw,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    Database db(raw);
    if (code != SQLITE_OK) return error_from(raw, code);
    if (const auto prepared = prepare_schema(db.get()); !prepared) return prepared.error();
    auto catalog = std::make_unique<SqliteCatalog>(std::move(db));
    // Reads every row once: a file whose pages are sound may still hold values that make no sense.
    const auto streams = catalog->streams();
    if (!streams) return streams.error();
    for (const StreamRow& stream : *streams) {
        if (const auto shards = catalog->shards(stream.id); !shards) return shards.error();
    }
    if (const auto meta = catalog->meta(); !meta) return meta.error();
    if (const auto keys = catalog->keys(); !keys) return keys.error();
    if (const auto notes = catalog->notes(); !notes) return notes.error();
    if (const auto feeds = catalog->feeds(); !feeds) return feeds.error();
    const auto groups = catalog->groups();
    if (!groups) return groups.error();
    for (const GroupRow& group : *groups) {
        if (const auto leases = catalog->leases(group.id); !leases) return leases.error();
        if (const auto members = catalog->members(group.id); !members) return members.error();
    }
    return catalog;
}

Status move_aside(const std::string& path, const std::string& target) {
    // The write-ahead log goes with its file: played into a new one it would be damage.
    for (const char* suffix : {"", "-wal", "-shm"}) {
        const std::string source = path + suffix;
        if (access(source.c_str(), F_OK) != 0) continue;
        if (std::rename(source.c_str(), (target + suffix).c_str()) != 0)
            return os_error(Errc::kIo, errno);
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::string& path,
                                                     uint64_t moved_aside_suffix) {
    auto opened = open_checked(path);
    if (!opened && opened.error().code == Errc::kCorruptDirectory) {
        const std::string target = fmt::format("{}.corrupt-{}", path, moved_aside_suffix);
        if (const auto moved = move_aside(path, target); !moved) return moved.error();
        log::error("catalog",
                   "not a sound catalogue, moved aside; a new one will be filled from the journals "
                   "path={} moved_to={}",
                   path, target);
        opened = open_checked(path);
    }
    if (!opened) return opened.error();
    return std::unique_ptr<Catalog>(std::move(*opened));
}

}  // namespace eagre::catalog
