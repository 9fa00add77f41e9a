#include "control/catalog/sqlite_schema.h"

#include <array>
#include <string>

#include "control/catalog/sqlite_catalog.h"
#include "control/catalog/sqlite_handle.h"

namespace eagre::catalog {
namespace {

// One step per schema version: kSteps[v] makes version v + 1 of version v. Steps are never edited
// once released.
constexpr std::array<const char*, kSchemaVersion> kSteps = {
    // `revision` is one row that grows with every change. Hash keys are 16 big-endian bytes.
    // Unsigned 64-bit values are kept as the signed number with the same bits.
    "CREATE TABLE revision (value INTEGER NOT NULL);"
    "INSERT INTO revision VALUES (0);"
    "CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, "
    "stream_id_max INTEGER NOT NULL,"
    " shard_id_max INTEGER NOT NULL, box_id_high INTEGER NOT NULL, box_id_low INTEGER NOT NULL, "
    "revision INTEGER NOT NULL);"
    "CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, state INTEGER NOT "
    "NULL, retention_ms INTEGER NOT NULL,"
    " record_bytes_max INTEGER NOT NULL, created_ns INTEGER NOT NULL, map_version INTEGER NOT "
    "NULL, revision INTEGER NOT NULL);"
    "CREATE TABLE shards (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams (id) "
    "ON DELETE CASCADE,"
    " starting_hash BLOB NOT NULL, ending_hash BLOB NOT NULL, parent INTEGER NOT NULL, "
    "adjacent_parent INTEGER NOT NULL,"
    " journal INTEGER NOT NULL, first_sequence INTEGER NOT NULL, open INTEGER NOT NULL);"
    "CREATE INDEX shards_by_stream ON shards (stream, id);",
    // Keys: a name belongs to one key in use; revoked ones stay for the record.
    "ALTER TABLE meta ADD COLUMN key_set_number INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE keys (id TEXT PRIMARY KEY, name TEXT NOT NULL, sealed_secret BLOB NOT NULL, "
    "allow TEXT NOT NULL, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL, revoked_ns "
    "INTEGER NOT NULL, generation INTEGER NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX keys_in_use ON keys (name) WHERE revoked_ns = 0;",
    // Limits of a stream beside retention by time, and its tags.
    "ALTER TABLE streams ADD COLUMN retention_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE streams ADD COLUMN quota_bytes_per_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE streams ADD COLUMN quota_records_per_s INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE stream_tags (stream INTEGER NOT NULL REFERENCES streams (id) ON DELETE CASCADE, "
    "key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (stream, key)) WITHOUT ROWID;",
    // Consumer groups go with their stream, leases and members with their group.
    "CREATE TABLE consumer_groups (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES "
    "streams (id) ON DELETE CASCADE, name TEXT NOT NULL, heartbeat_ms INTEGER NOT NULL, created_ns "
    "INTEGER NOT NULL, revision INTEGER NOT NULL, UNIQUE (stream, name));"
    "CREATE TABLE leases (consumer_group INTEGER NOT NULL REFERENCES consumer_groups (id) ON DELETE "
    "CASCADE, shard INTEGER NOT NULL, token INTEGER NOT NULL, member TEXT NOT NULL, next INTEGER NOT "
    "NULL, ended INTEGER NOT NULL, checkpoint_ns INTEGER NOT NULL, PRIMARY KEY (consumer_group, "
    "shard)) WITHOUT ROWID;"
    "CREATE TABLE members (consumer_group INTEGER NOT NULL REFERENCES consumer_groups (id) ON DELETE "
    "CASCADE, name TEXT NOT NULL, session INTEGER NOT NULL, joined_ns INTEGER NOT NULL, PRIMARY KEY "
    "(consumer_group, name)) WITHOUT ROWID;",
    // Scaling to a number of shards goes on after a restart.
    "ALTER TABLE streams ADD COLUMN scale_target INTEGER NOT NULL DEFAULT 0;",
    // The number of a shard in its stream; 0 of those that were there before.
    "ALTER TABLE shards ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;",
    // Notes go with their stream; those of stream 0 are the box's, and no stream is.
    "CREATE TABLE notes (stream INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, "
    "revision INTEGER NOT NULL, PRIMARY KEY (stream, name)) WITHOUT ROWID;",
    // Feeds: each as the dataplane keeps it.
    "ALTER TABLE meta ADD COLUMN feed_set_number INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE meta ADD COLUMN feed_id_max INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE feeds (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec BLOB NOT NULL, "
    "revision INTEGER NOT NULL);",
};

Result<uint64_t> query_integer(sqlite3* db, const char* sql) {
    Statement query(db, sql);
    const auto found = query.step();
    if (!found) return found.error();
    return *found ? query.integer(0) : 0;
}

Status check_sound(sqlite3* db) {
    Statement query(db, "PRAGMA quick_check(1)");
    const auto found = query.step();
    if (!found) return found.error();
    if (!*found || query.text(0) != "ok") return Errc::kCorruptDirectory;
    return {};
}

Status migrate(sqlite3* db, uint64_t version) {
    for (uint64_t v = version; v < kSteps.size(); ++v) {
        if (const auto step = execute(db, kSteps[v]); !step) return step;
    }
    const std::string stamp = "PRAGMA user_version=" + std::to_string(kSchemaVersion) +
                              ";PRAGMA application_id=" + std::to_string(kApplicationId) + ";";
    return execute(db, stamp.c_str());
}

}  // namespace

Status prepare_schema(sqlite3* db) {
    // Read-only questions first: a file of a newer Eagre must not be touched.
    const auto version = query_integer(db, "PRAGMA user_version");
    if (!version) return version.error();
    const auto application = query_integer(db, "PRAGMA application_id");
    if (!application) return application.error();
    const auto tables = query_integer(db, "SELECT count(*) FROM sqlite_schema");
    if (!tables) return tables.error();
    const bool fresh = *version == 0 && *application == 0 && *tables == 0;
    if (!fresh && *application != uint64_t{kApplicationId}) return Errc::kCorruptDirectory;
    if (*version > uint64_t{kSchemaVersion}) return error_of(Errc::kNewerFormat, *version);
    if (!fresh && *version == 0) return Errc::kCorruptDirectory;
    if (const auto sound = check_sound(db); !sound) return sound;

    // Durable when COMMIT returns: an epoch or an id that a power cut takes back would be used
    // twice.
    if (const auto set = execute(db,
                                 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA "
                                 "foreign_keys=ON; PRAGMA busy_timeout=2000;");
        !set) {
        return set;
    }
    if (*version == uint64_t{kSchemaVersion}) return {};
    if (const auto begun = execute(db, "BEGIN IMMEDIATE"); !begun) return begun;
    if (const auto migrated = migrate(db, *version); !migrated) return migrated;
    return execute(db, "COMMIT");
}

}  // namespace eagre::catalog
