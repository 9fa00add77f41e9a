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

/// True when there is an eagre.box in it.
bool is_data_directory(const std::string& data);

}  // namespace eagre::inspect
