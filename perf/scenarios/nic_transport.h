#pragma once
// The client library over a network device driven by DPDK: connections go as ever, datagrams through the device. For measuring: it polls.

#include <memory>
#include <string>

#include "wire/client/transport.h"

namespace eagre::perf {

/// `device`: as DPDK names it; `address`: IPv4, ours there. One in a process. Null: `why` says so.
std::unique_ptr<client::Transport> make_nic_transport(const std::string& device, const std::string& address, uint32_t cpu, std::string& why);

}  // namespace eagre::perf
