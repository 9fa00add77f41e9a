#pragma once
// The embedded catalogue: SQLite, WAL, synchronous=FULL, foreign keys on, schema version in
// user_version.

#include <cstdint>
#include <memory>
#include <string>

#include "control/catalog/catalog.h"

namespace eagre::catalog {

inline constexpr int32_t kSchemaVersion = 8;
inline constexpr int32_t kApplicationId =
    0x52474145;  // "EAGR", as in frames; tells our file from any other SQLite file.

/// Opens or creates the catalogue at `path` (":memory:" for tests and the simulator) and migrates
/// an older schema. A file that is corrupt, or not ours, is moved to
/// PATH.corrupt-`moved_aside_suffix` with a line in the log, and an empty catalogue takes its
/// place: the journals' facts will fill it. Errors: kNewerFormat (detail = its schema version),
/// kDiskFull, kIo.
Result<std::unique_ptr<Catalog>> open_sqlite_catalog(const std::string& path,
                                                     uint64_t moved_aside_suffix);

}  // namespace eagre::catalog
