#pragma once
// A network device of our own, without the kernel between: what a process has of it. dpdk/ is what there is behind it.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/io/datagrams.h"

namespace eagre::io {

struct NicOptions {
    /// vdev strings ("net_af_packet0,iface=eth1") or PCI addresses ("0000:03:00.0"); all on one link.
    std::vector<std::string> devices;
    Address address;  // IPv4: what we answer to there.
    uint32_t prefix_bits = 24;
    Address gateway;  // family 0: everybody we talk to is on the link.
    bool huge_pages = true;
    std::vector<uint32_t> cpus;  // One core each.
    uint64_t seed = 0;
};

class Nic {
  public:
    virtual ~Nic() = default;
    /// For core `core`, called by and destroyed on its thread; not to outlive this. Null: no more threads can have one.
    virtual std::unique_ptr<Datagrams> datagrams(uint32_t core) = 0;
    /// "net_af_packet0 (02:00:00:00:00:12), 2 queues, MTU 1500, link up": for the log.
    virtual std::string describe() const = 0;
};

}  // namespace eagre::io
