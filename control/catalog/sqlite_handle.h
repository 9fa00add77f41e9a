#pragma once
// SQLite's C handles with C++ lifetimes, and its result codes as Errc. Used only inside catalog/.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "wire/base/result.h"

namespace eagre::catalog {

struct CloseDatabase {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

/// The Errc for a result code of SQLite: kDiskFull, kCorruptDirectory or kIo, with the errno where
/// there is one.
Error error_from(sqlite3* db, int code);

/// Runs statements that return no rows.
Status execute(sqlite3* db, const char* sql);

/// A prepared statement. Columns and parameters are unsigned 64-bit here and signed in SQLite: the
/// bits are kept.
class Statement {
  public:
    /// Errors show at the first step().
    Statement(sqlite3* db, std::string_view sql);
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    /// Parameters in order, from the first after construction or reset().
    Statement& bind(uint64_t value);
    Statement& bind(std::string_view text);
    Statement& bind_blob(std::span<const std::byte> bytes);
    /// True: a row is there. False: done.
    Result<bool> step();
    /// Steps a statement without rows.
    Status run();
    void reset();

    uint64_t integer(int column) const;
    std::string text(int column) const;
    std::span<const std::byte> blob(int column) const;

  private:
    sqlite3* db_;
    sqlite3_stmt* statement_ = nullptr;
    int code_;
    int bound_ = 0;
};

}  // namespace eagre::catalog
