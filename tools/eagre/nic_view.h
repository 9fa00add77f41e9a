#pragma once
// What a network device of Eagre's own has counted, for `eagre stats` and `eagre doctor`.

#include <string>

#include <nlohmann/json.hpp>

#include "tools/eagre/doctor/check.h"
#include "wire/shm/stats_snapshot.h"

namespace eagre::cli {

nlohmann::ordered_json nic_json(const shm::NicStats& nic);
/// Tables, behind an empty line; empty where datagrams come through the kernel.
std::string nic_text(const shm::StatsSnapshot& now);

/// Rows for the doctor: none when no eagred runs there, or when it has no such device.
doctor::Checks nic_checks(const std::string& stats_path);
/// The same of one core's figures.
doctor::Checks nic_checks(const shm::NicStats& nic, uint64_t core);

}  // namespace eagre::cli
