// The embedded catalogue: what was applied is there after reopening, whole or not at all; a stale
// revision changes nothing; a file that is rotten or not ours is moved aside; a newer one is left
// alone.
#include "control/catalog/sqlite_catalog.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "control/log/log.h"

namespace eagre::catalog {
namespace {

namespace fs = std::filesystem;

class SqliteCatalog : public testing::Test {
  protected:
    SqliteCatalog()
        : directory_(fs::temp_directory_path() / ("eagre-catalog-" + std::to_string(getpid()))) {
        log::set_level(log::Level::kOff);
        fs::remove_all(directory_);
        fs::create_directories(directory_);
        path_ = directory_ / "catalog.sqlite";
    }
    ~SqliteCatalog() override { fs::remove_all(directory_); }

    std::unique_ptr<Catalog> open() {
        auto opened = open_sqlite_catalog(path_, 42);
        EXPECT_TRUE(opened.has_value());
        return opened ? std::move(*opened) : nullptr;
    }
    void run_sql(const char* sql) {
        sqlite3* db = nullptr;
        ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK)
            << sqlite3_errmsg(db);
        sqlite3_close(db);
    }
    bool moved_aside() const { return fs::exists(path_ + ".corrupt-42"); }

    fs::path directory_;
    std::string path_;
};

Change stream_with_shards() {
    Change change;
    StreamRow row;
    row.id = StreamId(3);
    row.name = "quotes";
    row.state = StreamState::kCreating;
    row.retention_ms = UINT64_MAX;
    row.record_bytes_max = 1000;
    row.created_ns = 5;
    row.map_version = 2;
    row.retention_bytes = 1 << 20;
    row.quota_bytes_per_s = 11;
    row.quota_records_per_s = 12;
    row.tags = {{"env", ""}, {"team", "feeds"}};
    change.put_streams.push_back(row);
    for (uint64_t id = 7; id < 10; ++id) {
        ShardRow shard;
        shard.id = ShardId(id);
        shard.stream = row.id;
        shard.range = {{id, UINT64_MAX}, {UINT64_MAX, id}};
        shard.parent = ShardId(1);
        shard.adjacent_parent = ShardId(2);
        shard.journal = JournalId(5);
        shard.first_sequence = SequenceNumber(99);
        shard.ordinal = 7;
        shard.open = id != 8;
        change.put_shards.push_back(shard);
    }
    change.put_meta = MetaRow{Epoch(4), StreamId(3), ShardId(9), 1, 2, 0};
    return change;
}

TEST_F(SqliteCatalog, KeepsEveryFieldOverReopening) {
    const Change change = stream_with_shards();
    ASSERT_TRUE(open()->apply(change).value());
    const auto catalog = open();
    const auto streams = catalog->streams().value();
    ASSERT_EQ(streams.size(), 1U);
    EXPECT_EQ(streams[0].id, StreamId(3));
    EXPECT_EQ(streams[0].name, "quotes");
    EXPECT_EQ(streams[0].state, StreamState::kCreating);
    EXPECT_EQ(streams[0].retention_ms, UINT64_MAX);
    EXPECT_EQ(streams[0].record_bytes_max, 1000U);
    EXPECT_EQ(streams[0].created_ns, 5U);
    EXPECT_EQ(streams[0].map_version, 2U);
    EXPECT_EQ(streams[0].retention_bytes, 1U << 20U);
    EXPECT_EQ(streams[0].quota_bytes_per_s, 11U);
    EXPECT_EQ(streams[0].quota_records_per_s, 12U);
    EXPECT_EQ(streams[0].tags, change.put_streams[0].tags);
    EXPECT_GT(streams[0].revision, 0U);
    EXPECT_EQ(catalog->shards(StreamId(3)).value(), change.put_shards);
    const MetaRow meta = catalog->meta().value();
    EXPECT_EQ(meta.epoch, Epoch(4));
    EXPECT_EQ(meta.stream_id_max, StreamId(3));
    EXPECT_EQ(meta.shard_id_max, ShardId(9));
    EXPECT_EQ(meta.box_id_high, 1U);
    EXPECT_EQ(meta.box_id_low, 2U);
}

TEST_F(SqliteCatalog, ChangesNothingWhenARevisionIsNotTheExpectedOne) {
    const auto catalog = open();
    ASSERT_TRUE(catalog->apply(stream_with_shards()).value());
    EXPECT_FALSE(catalog->apply(stream_with_shards()).value()) << "expected no such row";

    Change stale;
    stale.put_streams.push_back(catalog->streams().value()[0]);
    stale.put_streams[0].state = StreamState::kActive;
    ASSERT_TRUE(catalog->apply(stale).value());
    stale.put_streams[0].state = StreamState::kDeleting;
    stale.delete_shards = {ShardId(7)};
    EXPECT_FALSE(catalog->apply(stale).value());
    EXPECT_EQ(catalog->streams().value()[0].state, StreamState::kActive);
    EXPECT_EQ(catalog->shards(StreamId(3)).value().size(), 3U);

    Change drop;
    drop.delete_streams = {{StreamId(3), stale.put_streams[0].revision}};
    EXPECT_FALSE(catalog->apply(drop).value());
    Change meta;
    meta.put_meta = MetaRow{Epoch(9), StreamId(3), ShardId(9), 1, 2, 0};
    EXPECT_FALSE(catalog->apply(meta).value());
    EXPECT_EQ(catalog->meta().value().epoch, Epoch(4));
}

TEST_F(SqliteCatalog, DeletesAStreamWithItsShards) {
    const auto catalog = open();
    ASSERT_TRUE(catalog->apply(stream_with_shards()).value());
    Change drop;
    drop.delete_streams = {{StreamId(3), catalog->streams().value()[0].revision}};
    ASSERT_TRUE(catalog->apply(drop).value());
    EXPECT_TRUE(catalog->streams().value().empty());
    EXPECT_TRUE(catalog->shards(StreamId(3)).value().empty());
}

TEST_F(SqliteCatalog, OneNameBelongsToOneStream) {
    const auto catalog = open();
    ASSERT_TRUE(catalog->apply(stream_with_shards()).value());
    Change twin;
    twin.put_streams.push_back(catalog->streams().value()[0]);
    twin.put_streams[0].id = StreamId(4);
    twin.put_streams[0].revision = 0;
    const auto applied = catalog->apply(twin);
    ASSERT_FALSE(applied.has_value());
    EXPECT_EQ(applied.error().code, Errc::kStreamExists);
    EXPECT_EQ(catalog->streams().value().size(), 1U);
    // And a refused change leaves no transaction behind.
    twin.put_streams[0].name = "trades";
    EXPECT_TRUE(catalog->apply(twin).value());
}

TEST_F(SqliteCatalog, TellsTheWatcherWhatWasStored) {
    struct Witness final : Watcher {
        void on_change(const Change& applied) override { seen.push_back(applied); }
        std::vector<Change> seen;
    } witness;
    const auto catalog = open();
    catalog->watch(&witness);
    ASSERT_TRUE(catalog->apply(stream_with_shards()).value());
    EXPECT_FALSE(catalog->apply(stream_with_shards()).value());
    ASSERT_EQ(witness.seen.size(), 1U);
    EXPECT_EQ(witness.seen[0].put_streams[0].revision, catalog->streams().value()[0].revision);
    EXPECT_EQ(witness.seen[0].put_meta->revision, catalog->meta().value().revision);
    catalog->watch(nullptr);
}

TEST_F(SqliteCatalog, MovesAsideWhatIsNotSqlite) {
    std::ofstream(path_) << std::string(8192, 'x');
    EXPECT_TRUE(open()->streams().value().empty());
    EXPECT_TRUE(moved_aside());
}

TEST_F(SqliteCatalog, MovesAsideRottenPages) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<std::streamoff>(fs::file_size(path_));
    // Everything but the first page, which says what the file is.
    file.seekp(4096);
    file << std::string(static_cast<size_t>(size - 4096), '\x5a');
    file.close();
    const auto catalog = open();
    EXPECT_TRUE(moved_aside());
    EXPECT_TRUE(catalog->streams().value().empty());
    EXPECT_TRUE(catalog->apply(stream_with_shards()).value());
}

TEST_F(SqliteCatalog, MovesAsideValuesThatMakeNoSense) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    run_sql("UPDATE shards SET ending_hash = x'00' WHERE id = 8");
    EXPECT_TRUE(open()->streams().value().empty());
    EXPECT_TRUE(moved_aside());
}

TEST_F(SqliteCatalog, MovesAsideAnothersDatabase) {
    run_sql("CREATE TABLE songs (title TEXT)");
    EXPECT_TRUE(open()->streams().value().empty());
    EXPECT_TRUE(moved_aside());
}

TEST_F(SqliteCatalog, LeavesANewerSchemaAlone) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    run_sql("PRAGMA user_version = 9");
    const auto opened = open_sqlite_catalog(path_, 42);
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, Errc::kNewerFormat);
    EXPECT_EQ(opened.error().detail, 9U);
    EXPECT_FALSE(moved_aside());
    run_sql(("PRAGMA user_version = " + std::to_string(kSchemaVersion)).c_str());
    EXPECT_EQ(open()->streams().value().size(), 1U);
}

// What the steps to versions 7, 6, 5 and 4 brought, taken back.
constexpr const char* kWithoutFeeds =
    "DROP TABLE feeds; ALTER TABLE meta DROP COLUMN feed_set_number; ALTER TABLE meta DROP COLUMN feed_id_max; PRAGMA user_version = 7";
constexpr const char* kWithoutNotes = "DROP TABLE notes; PRAGMA user_version = 6";
constexpr const char* kWithoutOrdinals = "ALTER TABLE shards DROP COLUMN ordinal; PRAGMA user_version = 5";
constexpr const char* kWithoutScaling =
    "ALTER TABLE streams DROP COLUMN scale_target; PRAGMA user_version = 4";
constexpr const char* kWithoutGroups =
    "DROP TABLE members; DROP TABLE leases; DROP TABLE consumer_groups; PRAGMA user_version = 3";

// What the step to version 3 brought, taken back.
constexpr const char* kWithoutLimits =
    "ALTER TABLE streams DROP COLUMN retention_bytes;"
    "ALTER TABLE streams DROP COLUMN quota_bytes_per_s;"
    "ALTER TABLE streams DROP COLUMN quota_records_per_s; DROP TABLE stream_tags;"
    "PRAGMA user_version = 2";

TEST_F(SqliteCatalog, MigratesAStreamThatKnewNoLimitsAndTags) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    run_sql(kWithoutFeeds);
    run_sql(kWithoutNotes);
    run_sql(kWithoutOrdinals);
    run_sql(kWithoutScaling);
    run_sql(kWithoutGroups);
    run_sql(kWithoutLimits);
    const auto catalog = open();
    EXPECT_FALSE(moved_aside());
    auto streams = catalog->streams().value();
    ASSERT_EQ(streams.size(), 1U);
    EXPECT_EQ(streams[0].name, "quotes");
    EXPECT_EQ(streams[0].retention_bytes, 0U);
    EXPECT_EQ(streams[0].quota_bytes_per_s, 0U);
    EXPECT_EQ(streams[0].quota_records_per_s, 0U);
    EXPECT_TRUE(streams[0].tags.empty());
    Change tagged;
    tagged.put_streams = streams;
    tagged.put_streams[0].tags = {{"team", "feeds"}};
    ASSERT_TRUE(catalog->apply(tagged).value());
    EXPECT_EQ(catalog->streams().value()[0].tags, tagged.put_streams[0].tags);
}

TEST_F(SqliteCatalog, TagsGoWithTheirStream) {
    const auto catalog = open();
    ASSERT_TRUE(catalog->apply(stream_with_shards()).value());
    Change change;
    change.put_streams = catalog->streams().value();
    change.put_streams[0].tags = {{"env", "prod"}};
    ASSERT_TRUE(catalog->apply(change).value());
    const auto row = catalog->streams().value()[0];
    EXPECT_EQ(row.tags, (Tags{{"env", "prod"}}));
    Change drop;
    drop.delete_streams = {{row.id, row.revision}};
    ASSERT_TRUE(catalog->apply(drop).value());
    Change anew = stream_with_shards();
    anew.put_streams[0].tags.clear();
    anew.put_meta.reset();
    ASSERT_TRUE(catalog->apply(anew).value());
    EXPECT_TRUE(catalog->streams().value()[0].tags.empty());
}

TEST_F(SqliteCatalog, MigratesTheFirstSchema) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    run_sql(kWithoutFeeds);
    run_sql(kWithoutNotes);
    run_sql(kWithoutOrdinals);
    run_sql(kWithoutScaling);
    run_sql(kWithoutGroups);
    run_sql(kWithoutLimits);
    run_sql(
        "DROP TABLE keys; ALTER TABLE meta DROP COLUMN key_set_number; PRAGMA user_version = 1");
    const auto catalog = open();
    EXPECT_FALSE(moved_aside());
    EXPECT_EQ(catalog->streams().value().size(), 1U);
    EXPECT_TRUE(catalog->keys().value().empty());
    EXPECT_EQ(catalog->meta().value().key_set_number, 0U);
}

TEST_F(SqliteCatalog, KeepsFeedsByRevisionAndWithoutTheirStream) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    Change put;
    FeedRow itch;
    itch.spec.id = 5;
    itch.spec.name = "itch";
    itch.spec.stream = StreamId(3);
    itch.spec.lines = {{"239.1.1.1", 5000, "eth1", "10.0.0.9"}};
    itch.spec.key = "bytes:1:2";
    put.put_feeds = {itch};
    put.put_meta = open()->meta().value();
    put.put_meta->feed_set_number = 1;
    put.put_meta->feed_id_max = 5;
    ASSERT_TRUE(open()->apply(put).value());
    const auto catalog = open();
    auto feeds = catalog->feeds().value();
    ASSERT_EQ(feeds.size(), 1U);
    EXPECT_EQ(feeds[0].spec, itch.spec);
    EXPECT_EQ(catalog->meta().value().feed_id_max, 5U);
    Change late;
    late.put_feeds = {itch};  // As if there were none.
    EXPECT_FALSE(catalog->apply(late).value());
    Change twice;
    twice.put_feeds = {itch};
    twice.put_feeds[0].spec.id = 6;
    EXPECT_EQ(catalog->apply(twice).error().code, Errc::kFeedExists) << "a name is one feed's";
    Change paused;
    paused.put_feeds = {feeds[0]};
    paused.put_feeds[0].spec.paused = true;
    ASSERT_TRUE(catalog->apply(paused).value());
    Change gone;
    gone.delete_streams = {{StreamId(3), catalog->streams().value()[0].revision}};
    ASSERT_TRUE(catalog->apply(gone).value());
    feeds = catalog->feeds().value();
    ASSERT_EQ(feeds.size(), 1U);
    EXPECT_TRUE(feeds[0].spec.paused);
    Change removed;
    removed.delete_feeds = {{5, feeds[0].revision}};
    ASSERT_TRUE(catalog->apply(removed).value());
    EXPECT_TRUE(catalog->feeds().value().empty());
}

TEST_F(SqliteCatalog, KeepsNotesByRevisionAndDropsThemWithTheirStream) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    Change put;
    put.put_notes = {{StreamId(3), "app a", "one", 0}, {StreamId(0), "app box", "two", 0}};
    ASSERT_TRUE(open()->apply(put).value());
    const auto catalog = open();
    auto notes = catalog->notes().value();
    ASSERT_EQ(notes.size(), 2U);
    EXPECT_EQ(notes[0].stream, StreamId(0));
    EXPECT_EQ(notes[0].text, "two");
    EXPECT_EQ(notes[1].name, "app a");
    EXPECT_EQ(notes[1].text, "one");
    EXPECT_FALSE(catalog->apply(put).value()) << "there is one already";

    Change changed;
    changed.put_notes = {notes[1]};
    changed.put_notes[0].text = std::string("\0\n{}", 4);
    ASSERT_TRUE(catalog->apply(changed).value());
    EXPECT_FALSE(catalog->apply(changed).value()) << "somebody else was faster";
    notes = catalog->notes().value();
    EXPECT_EQ(notes[1].text, changed.put_notes[0].text);
    EXPECT_GT(notes[1].revision, changed.put_notes[0].revision);
    Change nobodys;
    nobodys.delete_notes = {{StreamId(3), "app b", 1}};
    EXPECT_FALSE(catalog->apply(nobodys).value());

    Change drop;
    drop.delete_streams = {{StreamId(3), catalog->streams().value()[0].revision}};
    ASSERT_TRUE(catalog->apply(drop).value());
    notes = catalog->notes().value();
    ASSERT_EQ(notes.size(), 1U);
    Change gone;
    gone.delete_notes = {{StreamId(0), "app box", notes[0].revision}};
    ASSERT_TRUE(catalog->apply(gone).value());
    EXPECT_TRUE(catalog->notes().value().empty());
}

Change group_with_rows(uint64_t id, const std::string& name) {
    Change change;
    change.put_groups.push_back({GroupId(id), StreamId(3), name, 3000, 77, 0});
    change.put_leases.push_back({GroupId(id), ShardId(7), 12, "a", SequenceNumber(5), false, 78});
    change.put_leases.push_back({GroupId(id), ShardId(8), 13, "", SequenceNumber(0), true, 0});
    change.put_members.push_back({GroupId(id), "a", 11, 76});
    return change;
}

TEST_F(SqliteCatalog, KeepsGroupsAndDropsThemWithTheirStream) {
    ASSERT_TRUE(open()->apply(stream_with_shards()).value());
    const Change made = group_with_rows(1, "billing");
    ASSERT_TRUE(open()->apply(made).value());
    const auto catalog = open();
    const auto groups = catalog->groups().value();
    ASSERT_EQ(groups.size(), 1U);
    EXPECT_EQ(groups[0].stream, StreamId(3));
    EXPECT_EQ(groups[0].name, "billing");
    EXPECT_EQ(groups[0].heartbeat_ms, 3000U);
    EXPECT_EQ(groups[0].created_ns, 77U);
    EXPECT_EQ(catalog->leases(GroupId(1)).value(), made.put_leases);
    EXPECT_EQ(catalog->members(GroupId(1)).value(), made.put_members);

    EXPECT_EQ(catalog->apply(group_with_rows(2, "billing")).error().code, Errc::kGroupExists);
    Change later;
    later.put_leases = {{GroupId(1), ShardId(7), 20, "", SequenceNumber(9), false, 80}};
    later.delete_members = made.put_members;
    ASSERT_TRUE(catalog->apply(later).value());
    EXPECT_EQ(catalog->leases(GroupId(1)).value()[0], later.put_leases[0]);
    EXPECT_TRUE(catalog->members(GroupId(1)).value().empty());
    Change nobodys = later;
    nobodys.put_leases[0].group = GroupId(9);
    EXPECT_FALSE(catalog->apply(nobodys).value()) << "a lease of no group";

    Change drop;
    drop.delete_streams = {{StreamId(3), catalog->streams().value()[0].revision}};
    ASSERT_TRUE(catalog->apply(drop).value());
    EXPECT_TRUE(catalog->groups().value().empty());
    EXPECT_TRUE(catalog->leases(GroupId(1)).value().empty());
}

TEST_F(SqliteCatalog, KeepsKeysAndLetsANameBeUsedAgain) {
    KeyRow row;
    row.id = "ek-0000000000000001";
    row.name = "feed";
    row.sealed_secret = {std::byte{1}, std::byte{2}};
    row.allow = "put:*";
    row.created_ns = 5;
    Change change;
    change.put_keys.push_back(row);
    change.put_meta = MetaRow{};
    change.put_meta->key_set_number = 1;
    ASSERT_TRUE(open()->apply(change).value());
    const auto catalog = open();
    auto rows = catalog->keys().value();
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].name, "feed");
    EXPECT_EQ(rows[0].sealed_secret, row.sealed_secret);
    EXPECT_EQ(rows[0].allow, "put:*");
    EXPECT_EQ(catalog->meta().value().key_set_number, 1U);

    Change same_name;
    same_name.put_keys.push_back(row);
    same_name.put_keys[0].id = "ek-0000000000000002";
    const auto refused = catalog->apply(same_name);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::kKeyExists);

    Change stale;
    stale.put_keys.push_back(row);  // Revision 0: as if it were not there.
    EXPECT_FALSE(catalog->apply(stale).value());

    Change revoke;
    revoke.put_keys.push_back(rows[0]);
    revoke.put_keys[0].revoked_ns = 9;
    revoke.put_keys[0].sealed_secret.clear();
    ASSERT_TRUE(catalog->apply(revoke).value());
    EXPECT_TRUE(catalog->apply(same_name).value());
    rows = catalog->keys().value();
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].revoked_ns, 9U);
    Change forget;
    forget.delete_keys.push_back({rows[0].id, rows[0].revision});
    ASSERT_TRUE(catalog->apply(forget).value());
    EXPECT_EQ(catalog->keys().value().size(), 1U);
}

}  // namespace
}  // namespace eagre::catalog
