#pragma once
// A whole data directory, offline: identity, every journal, the catalogue.

#include <string>

#include "tools/eagre/inspect/findings.h"
#include "tools/eagre/inspect/journal_check.h"

namespace eagre::inspect {

struct DirectoryReport {
    Findings findings;
    Totals totals;
};

/// The caller holds the lock. Throws std::runtime_error when `data` is not a data directory.
DirectoryReport check_directory(const std::string& data, const Progress& progress);

/// Where a journal of the box with main directory `data` lies: there, or in a further directory as
/// it was last seen.
std::string journal_path(const BoxIdentity& box, const std::string& data, uint32_t journal);

/// True when there is an eagre.box in it.
bool is_data_directory(const std::string& data);

}  // namespace eagre::inspect
