#pragma once
// The rows of notes in the embedded catalogue. Used only inside catalog/.

#include <vector>

#include <sqlite3.h>

#include "control/catalog/catalog.h"
#include "wire/base/result.h"

namespace eagre::catalog {

Result<std::vector<NoteRow>> read_notes(sqlite3* db);
/// Inside a transaction. False: a note to be put or deleted has another revision.
Result<bool> note_revisions_are(sqlite3* db, const Change& change);
/// Inside a transaction, behind note_revisions_are: those of streams that go, deletes, puts.
Status write_notes(sqlite3* db, const Change& change);

}  // namespace eagre::catalog
