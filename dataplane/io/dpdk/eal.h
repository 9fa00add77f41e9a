#pragma once
// Bringing DPDK's environment up, and the devices in it.

#include <memory>
#include <string>

#include "dataplane/io/dpdk/nic_shared.h"

namespace eagre::io {

/// Once in a process. Empty: well; else what is wrong, for people.
std::string start_environment(const NicOptions& options);
/// The name under which DPDK knows the device of a spec.
std::string device_name(const std::string& spec);
/// The value of `key` in a vdev string; empty: not there.
std::string device_argument(const std::string& spec, const std::string& key);

/// Pool, queues, start: fills in devices, queues and pool. Empty: well.
std::string start_devices(NicShared& shared);
void stop_devices(NicShared& shared);

}  // namespace eagre::io
