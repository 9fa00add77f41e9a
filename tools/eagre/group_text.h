#pragma once
// Consumer groups as people and programs read them. Pure functions; `now_ns`: wall clock, for ages.

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/eagre/text.h"
#include "wire/client/control_client.h"

namespace eagre::cli {

/// "lag" is null where a shard could not be measured.
nlohmann::ordered_json group_json(const client::GroupDescription& group, uint64_t now_ns);
/// A row per group.
Table group_table(const std::vector<client::GroupDescription>& groups, uint64_t now_ns);
/// Members and shards.
std::string group_text(const client::GroupDescription& group, uint64_t now_ns);

}  // namespace eagre::cli
