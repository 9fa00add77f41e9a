#include "tools/eagre/inspect/catalogue.h"

#include <filesystem>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <sqlite3.h>

namespace eagre::inspect {
namespace {

constexpr int kBusyMs = 2000;
constexpr int kTextBytesMax = 60;

struct CloseDatabase {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Database open_database(const std::string& path, std::string& error) {
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READONLY, nullptr);
    Database database(raw);
    if (code != SQLITE_OK) {
        error = sqlite3_errstr(code);
        return nullptr;
    }
    sqlite3_busy_timeout(raw, kBusyMs);
    return database;
}

std::string cell_text(sqlite3_stmt* row, int column) {
    const int bytes = sqlite3_column_bytes(row, column);
    switch (sqlite3_column_type(row, column)) {
        case SQLITE_NULL:
            return "-";
        case SQLITE_BLOB:
            return fmt::format("<{} bytes>", bytes);
        default: {
            const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
            std::string value(text == nullptr ? "" : text,
                              static_cast<size_t>(std::min(bytes, kTextBytesMax)));
            return bytes > kTextBytesMax ? value + "..." : value;
        }
    }
}

/// Rows as text; ends with what SQLite says when it is not done in good order.
template <class Row>
std::string each_row(sqlite3* database, const std::string& query, Row row) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(database, query.c_str(), -1, &raw, nullptr) != SQLITE_OK)
        return sqlite3_errmsg(database);
    const Statement statement(raw);
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(raw)) == SQLITE_ROW) row(raw);
    return code == SQLITE_DONE ? "" : sqlite3_errmsg(database);
}

}  // namespace

void check_catalogue(const std::string& path, Findings& findings) {
    if (!std::filesystem::exists(path)) {
        findings.note(path, 0, "no catalogue: eagre-control has not run here");
        return;
    }
    std::string error;
    const Database database = open_database(path, error);
    if (database == nullptr) {
        findings.problem(path, 0, "catalogue: " + error);
        return;
    }
    error = each_row(database.get(), "PRAGMA integrity_check", [&](sqlite3_stmt* row) {
        const std::string text = cell_text(row, 0);
        if (text != "ok") findings.problem(path, 0, "catalogue: " + text);
    });
    if (error.empty())
        error = each_row(database.get(), "PRAGMA foreign_key_check", [&](sqlite3_stmt* row) {
            findings.problem(path, 0,
                             fmt::format("catalogue: row {} of {} names a row of {} that is absent",
                                         cell_text(row, 1), cell_text(row, 0), cell_text(row, 2)));
        });
    if (!error.empty()) findings.problem(path, 0, "catalogue: " + error);
}

bool dump_catalogue(const std::string& path, std::FILE* out) {
    fmt::print(out, "catalogue {}\n", path);
    std::string error;
    const Database database = open_database(path, error);
    std::vector<std::string> tables;
    if (database != nullptr)
        error = each_row(database.get(),
                         "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
                         [&](sqlite3_stmt* row) { tables.push_back(cell_text(row, 0)); });
    bool good = error.empty();
    if (!good) fmt::print(out, "  DAMAGED: {}\n", error);
    for (const std::string& table : tables) {
        fmt::print(out, "  table {}\n", table);
        error = each_row(database.get(), fmt::format("SELECT * FROM \"{}\"", table),
                         [&](sqlite3_stmt* row) {
                             fmt::print(out, "   ");
                             for (int i = 0; i < sqlite3_column_count(row); ++i)
                                 fmt::print(out, " {}={}", sqlite3_column_name(row, i),
                                            cell_text(row, i));
                             fmt::print(out, "\n");
                         });
        if (error.empty()) continue;
        good = false;
        fmt::print(out, "    DAMAGED: {}\n", error);
    }
    return good;
}

}  // namespace eagre::inspect
