#include "control/catalog/sqlite_handle.h"

namespace eagre::catalog {

Error error_from(sqlite3* db, int code) {
    const int os_errno = db == nullptr ? 0 : sqlite3_system_errno(db);
    switch (code & 0xff) {  // The primary code; the rest says more of the same.
        case SQLITE_FULL:
            return os_error(Errc::kDiskFull, os_errno);
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return os_error(Errc::kCorruptDirectory, os_errno);
        default:
            return os_error(Errc::kIo, os_errno, static_cast<uint64_t>(code));
    }
}

Status execute(sqlite3* db, const char* sql) {
    const int code = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error_from(db, code);
    return {};
}

Statement::Statement(sqlite3* db, std::string_view sql)
    : db_(db),
      code_(
          sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr)) {}

Statement& Statement::bind(uint64_t value) {
    if (code_ == SQLITE_OK)
        code_ = sqlite3_bind_int64(statement_, ++bound_, static_cast<sqlite3_int64>(value));
    return *this;
}

Statement& Statement::bind(std::string_view text) {
    if (code_ == SQLITE_OK) {
        code_ = sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()),
                                  SQLITE_TRANSIENT);
    }
    return *this;
}

Statement& Statement::bind_blob(std::span<const std::byte> bytes) {
    if (code_ == SQLITE_OK && bytes.empty()) {
        code_ = sqlite3_bind_zeroblob(statement_, ++bound_, 0);  // Of no address it would make NULL.
    } else if (code_ == SQLITE_OK) {
        code_ = sqlite3_bind_blob(statement_, ++bound_, bytes.data(),
                                  static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
    }
    return *this;
}

Result<bool> Statement::step() {
    if (code_ != SQLITE_OK) return error_from(db_, code_);
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    code_ = code;
    return error_from(db_, code);
}

Status Statement::run() {
    const auto stepped = step();
    if (!stepped) return stepped.error();
    return {};
}

void Statement::reset() {
    sqlite3_reset(statement_);
    bound_ = 0;
}

uint64_t Statement::integer(int column) const {
    return static_cast<uint64_t>(sqlite3_column_int64(statement_, column));
}

std::string Statement::text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes == nullptr
               ? std::string()
               : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

std::span<const std::byte> Statement::blob(int column) const {
    const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
    return {bytes,
            bytes == nullptr ? 0 : static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

}  // namespace eagre::catalog
