#pragma once
// The rows of feeds in the embedded catalogue. Used only inside catalog/.

#include <vector>

#include <sqlite3.h>

#include "control/catalog/catalog.h"
#include "wire/base/result.h"

namespace eagre::catalog {

/// Errors: kCorruptDirectory (what is stored is no feed).
Result<std::vector<FeedRow>> read_feeds(sqlite3* db);
/// Inside a transaction. False: a feed to be put or deleted has another revision.
Result<bool> feed_revisions_are(sqlite3* db, const Change& change);
/// Inside a transaction, behind feed_revisions_are: deletes, puts. Errors: kFeedExists.
Status write_feeds(sqlite3* db, const Change& change);

}  // namespace eagre::catalog
