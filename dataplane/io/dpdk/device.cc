// Configuring and starting the devices.
#include <algorithm>
#include <cstring>
#include <string_view>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_errno.h>

#include "dataplane/io/dpdk/eal.h"

namespace eagre::io {
namespace {

constexpr uint16_t kDescriptorsWanted = 4096;
constexpr uint32_t kPoolCache = 256;
constexpr uint32_t kFrameRoomMin = 2048;
// 01:00:5e:00:00:01, for queries, and one per group.
constexpr size_t kFilterMax = 257;

std::string failure(const std::string& device, const char* what, int error) {
    return device + ": " + what + ": " + rte_strerror(error < 0 ? -error : error);
}

// Of the kernel's interface beneath a vdev; 0: there is none.
uint32_t kernel_mtu(const std::string& interface) {
    if (interface.empty() || interface.size() >= IFNAMSIZ) return 0;
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return 0;
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    const int asked = ::ioctl(fd, SIOCGIFMTU, &request);
    ::close(fd);
    return asked == 0 && request.ifr_mtu > 0 ? static_cast<uint32_t>(request.ifr_mtu) : 0;
}

// What a vdev brings it has its traffic spread over: all of it must be polled. Of a real device, as many as there are cores.
uint16_t queues_of(const rte_eth_dev_info& info, uint32_t core_count) {
    const uint16_t there = std::min(info.max_rx_queues, info.max_tx_queues);
    if (info.driver_name != nullptr && std::string_view(info.driver_name) == "net_af_packet") return there;
    return static_cast<uint16_t>(std::min<uint32_t>(there, core_count));
}

std::string start_device(NicShared& shared, NicDevice& device) {
    rte_eth_dev_info info{};
    if (const int got = rte_eth_dev_info_get(device.port, &info); got != 0) return failure(device.name, "no such device", got);
    device.queue_count = queues_of(info, shared.core_count);
    if (device.queue_count == 0) return device.name + ": has no queues";
    rte_eth_conf conf{};
    conf.rxmode.offloads = info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
    const uint64_t hashes = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
    if (device.queue_count > 1 && hashes != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = hashes;
    }
    if (const int done = rte_eth_dev_configure(device.port, device.queue_count, device.queue_count, &conf); done != 0) {
        return failure(device.name, "can't be configured", done);
    }
    uint16_t receive = kDescriptorsWanted;
    uint16_t transmit = kDescriptorsWanted / 2;
    if (const int done = rte_eth_dev_adjust_nb_rx_tx_desc(device.port, &receive, &transmit); done != 0) {
        return failure(device.name, "no size of its rings", done);
    }
    const int socket = rte_eth_dev_socket_id(device.port);
    const auto node = static_cast<unsigned>(socket < 0 ? 0 : socket);
    for (uint16_t queue = 0; queue < device.queue_count; ++queue) {
        int done = rte_eth_rx_queue_setup(device.port, queue, receive, node, nullptr, shared.pool);
        if (done == 0) done = rte_eth_tx_queue_setup(device.port, queue, transmit, node, nullptr);
        if (done != 0) return failure(device.name, "a queue can't be set up", done);
    }
    if (const int done = rte_eth_dev_start(device.port); done != 0) return failure(device.name, "does not start", done);
    rte_ether_addr mac{};
    if (const int got = rte_eth_macaddr_get(device.port, &mac); got != 0) return failure(device.name, "has no address", got);
    std::memcpy(device.mac.data(), &mac, device.mac.size());
    return {};
}

}  // namespace

std::string start_devices(NicShared& shared) {
    uint32_t frame_room = kFrameRoomMin;
    uint32_t buffers = 0;
    for (const std::string& spec : shared.options.devices) {
        NicDevice device;
        device.name = device_name(spec);
        device.interface = device_argument(spec, "iface");
        if (rte_eth_dev_get_port_by_name(device.name.c_str(), &device.port) != 0) {
            return device.name + ": DPDK found no such device (is its driver linked in, its interface there, a PCI device bound to vfio-pci?)";
        }
        rte_eth_dev_info info{};
        if (const int got = rte_eth_dev_info_get(device.port, &info); got != 0) return failure(device.name, "no such device", got);
        if (const uint32_t mtu = kernel_mtu(device.interface); mtu != 0) device.mtu = mtu;
        frame_room = std::max<uint32_t>(frame_room, device.mtu + packets::kEthernetBytes + 8);
        buffers += uint32_t{queues_of(info, shared.core_count)} * (kDescriptorsWanted + kDescriptorsWanted / 2);
        shared.devices.push_back(device);
    }
    buffers += shared.core_count * (kHeldMax + 2 * kSteerRingCount + 2 * kPoolCache + 4 * kNicBurst);
    frame_room = (frame_room + 63) / 64 * 64 + RTE_PKTMBUF_HEADROOM;
    if (frame_room > UINT16_MAX) return "an MTU of more than 65,000 bytes is not served";
    shared.pool = rte_pktmbuf_pool_create("eagre", buffers, kPoolCache, kNoteBytes, static_cast<uint16_t>(frame_room),
                                          static_cast<int>(rte_socket_id()));
    if (shared.pool == nullptr) {
        return "no memory for " + std::to_string(buffers) + " packets: " + rte_strerror(rte_errno) +
               (shared.options.huge_pages ? " (sysctl vm.nr_hugepages says how many huge pages there are; or --nic-no-huge)" : "");
    }
    for (NicDevice& device : shared.devices) {
        if (std::string wrong = start_device(shared, device); !wrong.empty()) return wrong;
    }
    uint32_t next_core = 0;
    for (uint32_t d = 0; d < shared.devices.size(); ++d) {
        for (uint16_t queue = 0; queue < shared.devices[d].queue_count; ++queue) {
            shared.queues.push_back({d, queue, next_core++ % shared.core_count});
        }
    }
    return {};
}

void stop_devices(NicShared& shared) {
    for (const NicDevice& device : shared.devices) {
        (void)rte_eth_dev_stop(device.port);
        (void)rte_eth_dev_close(device.port);
    }
}

void NicShared::update_filter() {
    const std::lock_guard lock(filter_mutex_);
    const std::vector<packets::Ip4> groups = book.groups();
    std::vector<rte_ether_addr> macs;
    const auto add = [&](packets::Ip4 group) {
        const packets::Mac mac = packets::mac_of_group(group);
        rte_ether_addr each{};
        std::memcpy(&each, mac.data(), mac.size());
        const bool there = std::any_of(macs.begin(), macs.end(), [&](const rte_ether_addr& a) { return std::memcmp(&a, &each, sizeof(a)) == 0; });
        if (!there) macs.push_back(each);
    };
    if (!groups.empty()) add(packets::kAllHosts);
    for (const packets::Ip4 group : groups) add(group);
    for (const NicDevice& device : devices) {
        // The narrowest that the device can do; those on veth can do none of it and get all frames anyway.
        const bool fits = macs.size() <= kFilterMax &&
                          rte_eth_dev_set_mc_addr_list(device.port, macs.data(), static_cast<uint32_t>(macs.size())) == 0;
        if (fits || macs.empty()) continue;
        if (rte_eth_allmulticast_enable(device.port) == 0) continue;
        (void)rte_eth_promiscuous_enable(device.port);
    }
}

}  // namespace eagre::io
