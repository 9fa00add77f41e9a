#pragma once
// The tables of the catalogue and how an older file becomes a current one.

#include <sqlite3.h>

#include "wire/base/result.h"

namespace eagre::catalog {

/// Sets the pragmas, checks the file's soundness and identity, creates or migrates the tables in
/// one transaction. Errors: kNewerFormat (detail = the file's schema version), kCorruptDirectory
/// (unsound, or not ours), kDiskFull, kIo.
Status prepare_schema(sqlite3* db);

}  // namespace eagre::catalog
