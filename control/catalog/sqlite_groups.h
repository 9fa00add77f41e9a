#pragma once
// The rows of consumer groups in the embedded catalogue. Used only inside catalog/.

#include <vector>

#include <sqlite3.h>

#include "control/catalog/catalog.h"
#include "wire/base/result.h"

namespace eagre::catalog {

/// As Catalog's reads of the same names.
Result<std::vector<GroupRow>> read_groups(sqlite3* db);
Result<std::vector<LeaseRow>> read_leases(sqlite3* db, GroupId group);
Result<std::vector<MemberRow>> read_members(sqlite3* db, GroupId group);

/// Inside a transaction. False: a group to be put has another revision, or one to be deleted, or that a lease or member is
/// put into, is not there.
Result<bool> group_revisions_are(sqlite3* db, const Change& change);
/// Inside a transaction, behind group_revisions_are: deletes, then puts. Errors: kGroupExists and those of SQLite.
Status write_groups(sqlite3* db, const Change& change);

}  // namespace eagre::catalog
