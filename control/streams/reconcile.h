#pragma once
// Makes the catalogue agree with the journals: the catalogue holds intentions, the journals hold
// facts, facts win.

#include <string>
#include <vector>

#include "control/catalog/catalog.h"
#include "control/streams/facts.h"
#include "control/streams/stream_table.h"

namespace eagre::streams {

struct Reconciliation {
    catalog::Change change;  // Empty when both agree.
    /// One log line for each thing that was not as the catalogue said.
    std::vector<std::string> notes;
};

/// To be called with facts listed while no command is under way. What it decides:
/// - Streams and shards that only the journals know are added, and the id maxima raised (a lost or
///   restored catalogue).
/// - A stream or shard that is absent from complete journals is dropped; one whose journal is
///   missing is kept (it is Unavailable).
/// - kCreating: active once all its shards are facts; kept, to be driven on, when none of its ids
///   was ever used; dropped when they were (it has been created and deleted since this copy of the
///   catalogue was made; ids are never used twice).
/// - kDeleting: ends when the journals have forgotten it; else kept, to be driven on.
/// - kChanging: active once the facts say so. kActive takes retention, record limit and map version
///   from the facts.
/// - kResharding: with a hole in the ranges of open shards it is half done, and kept to be driven on (a planned child whose id
///   the journals have passed gets a new one); without one it is done, or never began and is undone. Where the intention is
///   lost, children are planned anew for the closed shards that the hole was.
/// - A stream that only the journals know, has no closed shards, and leaves hash keys uncovered
///   while all journals are there, is one whose creation never ended and whose intention is lost:
///   it gets new shards for the holes, so that nothing stored is given up.
Reconciliation reconcile(const StreamTable& table, const Facts& facts);

}  // namespace eagre::streams
