#pragma once
// What feeds do, as `eagre stats` and `eagre feed` show it: from shared memory.

#include <string>

#include <nlohmann/json.hpp>

#include "tools/eagre/doctor/check.h"
#include "wire/shm/stats_snapshot.h"

namespace eagre::cli {

/// Null: no core serves it, or has said so yet.
const shm::FeedStats* find_feed(const shm::StatsSnapshot& now, uint32_t id);
/// "listening", "paused", "refused: PortInUse", ...
std::string feed_state_text(const shm::FeedStats& feed);
/// A stranger's bytes, for screens and JSON: whatever is no printable ASCII shows as '?'.
std::string feed_session_text(const shm::FeedStats& feed);
/// Datagrams that its sockets had no room for.
uint64_t feed_overflowed(const shm::FeedStats& feed);
nlohmann::ordered_json feed_json(const shm::FeedStats& feed);
/// One for each feed in use.
nlohmann::ordered_json feeds_json(const shm::StatsSnapshot& now);
/// A table; empty where there is no feed.
std::string feeds_text(const shm::StatsSnapshot& now);

/// Rows for the doctor, one or more a feed: none when no eagred runs there, or when it has no feeds.
doctor::Checks feed_checks(const std::string& stats_path);
/// The same of one feed.
doctor::Checks feed_checks(const shm::FeedStats& feed);

}  // namespace eagre::cli
