#include "control/catalog/sqlite_notes.h"

#include <string_view>

#include "control/catalog/sqlite_handle.h"

namespace eagre::catalog {
namespace {

Result<bool> revision_is(sqlite3* db, StreamId stream, std::string_view name, uint64_t expected) {
    Statement query(db, "SELECT revision FROM notes WHERE stream = ? AND name = ?");
    const auto found = query.bind(stream.value).bind(name).step();
    if (!found) return found.error();
    return (*found ? query.integer(0) : 0) == expected;
}

}  // namespace

Result<std::vector<NoteRow>> read_notes(sqlite3* db) {
    Statement query(db, "SELECT stream, name, text, revision FROM notes ORDER BY stream, name");
    std::vector<NoteRow> rows;
    for (;;) {
        const auto more = query.step();
        if (!more) return more.error();
        if (!*more) return rows;
        rows.push_back({StreamId(query.integer(0)), query.text(1), query.text(2), query.integer(3)});
    }
}

Result<bool> note_revisions_are(sqlite3* db, const Change& change) {
    for (const NoteVersion& each : change.delete_notes) {
        const auto expected = revision_is(db, each.stream, each.name, each.revision);
        if (!expected || !*expected) return expected;
    }
    for (const NoteRow& row : change.put_notes) {
        const auto expected = revision_is(db, row.stream, row.name, row.revision);
        if (!expected || !*expected) return expected;
    }
    return true;
}

Status write_notes(sqlite3* db, const Change& change) {
    Statement drop_all(db, "DELETE FROM notes WHERE stream = ?");
    for (const StreamVersion& each : change.delete_streams) {
        if (const auto run = drop_all.bind(each.id.value).run(); !run) return run;
        drop_all.reset();
    }
    Statement drop(db, "DELETE FROM notes WHERE stream = ? AND name = ?");
    for (const NoteVersion& each : change.delete_notes) {
        if (const auto run = drop.bind(each.stream.value).bind(std::string_view(each.name)).run(); !run) return run;
        drop.reset();
    }
    Statement put(db, "INSERT OR REPLACE INTO notes (stream, name, text, revision) VALUES (?,?,?,?)");
    for (const NoteRow& row : change.put_notes) {
        put.bind(row.stream.value).bind(std::string_view(row.name)).bind(std::string_view(row.text)).bind(row.revision);
        if (const auto run = put.run(); !run) return run;
        put.reset();
    }
    return {};
}

}  // namespace eagre::catalog
