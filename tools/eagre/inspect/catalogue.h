#pragma once
// catalog.sqlite, control's database, read-only and table by table: its own integrity check, and
// its rows as text.

#include <cstdio>
#include <string>

#include "tools/eagre/inspect/findings.h"

namespace eagre::inspect {

inline constexpr const char* kCatalogueFile = "catalog.sqlite";

/// SQLite's integrity and foreign key checks. A file that is absent is a note.
void check_catalogue(const std::string& path, Findings& findings);

/// Every table with all its rows. Damage is told on the way. False: something could not be read.
bool dump_catalogue(const std::string& path, std::FILE* out);

}  // namespace eagre::inspect
