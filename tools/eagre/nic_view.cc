#include "tools/eagre/nic_view.h"

#include <fmt/format.h>

#include "tools/eagre/progress.h"
#include "tools/eagre/text.h"

namespace eagre::cli {

using doctor::Grade;

nlohmann::ordered_json nic_json(const shm::NicStats& nic) {
    return {{"link_up", nic.link_up != 0},     {"rx_packets", nic.rx_packets}, {"rx_bytes", nic.rx_bytes},
            {"tx_packets", nic.tx_packets},    {"missed", nic.missed},         {"no_mbuf", nic.no_mbuf},
            {"bad_checksum", nic.bad_checksum}, {"fragments", nic.fragments},  {"options", nic.options},
            {"vlan", nic.vlan},                {"truncated", nic.truncated},   {"not_ours", nic.not_ours},
            {"oversized", nic.oversized},      {"arp_in", nic.arp_in},         {"igmp_queries", nic.igmp_queries},
            {"steered", nic.steered},          {"steer_full", nic.steer_full}, {"tx_full", nic.tx_full},
            {"tx_no_arp", nic.tx_no_arp}};
}

std::string nic_text(const shm::StatsSnapshot& now) {
    Table traffic({"core", "nic", "in", "bytes", "out", "arp", "igmp queries", "steered", "not ours"});
    Table losses({"core", "nic drops", "missed", "no mbuf", "steer full", "tx full", "no arp", "checksum", "fragments", "vlan", "truncated",
                  "oversized"});
    bool lost = false;
    for (uint32_t i = 0; i < now.core_count(); ++i) {
        const shm::NicStats& nic = now.core(i).nic;
        if (nic.present == 0) continue;
        const std::string core = fmt::format("{}", now.core(i).core);
        const std::string link = nic.link_up != 0 ? "up" : "DOWN";
        traffic.add({core, link, grouped(nic.rx_packets), bytes_text(static_cast<double>(nic.rx_bytes)), grouped(nic.tx_packets),
                     grouped(nic.arp_in), grouped(nic.igmp_queries), grouped(nic.steered), grouped(nic.not_ours)});
        losses.add({core, "", grouped(nic.missed), grouped(nic.no_mbuf), grouped(nic.steer_full), grouped(nic.tx_full), grouped(nic.tx_no_arp),
                    grouped(nic.bad_checksum), grouped(nic.fragments), grouped(nic.vlan), grouped(nic.truncated), grouped(nic.oversized)});
        lost = lost || nic.missed + nic.no_mbuf + nic.steer_full + nic.tx_full + nic.tx_no_arp + nic.bad_checksum + nic.fragments + nic.vlan +
                               nic.truncated + nic.oversized != 0;
    }
    if (traffic.empty()) return {};
    return "\n" + traffic.text() + (lost ? "\n" + losses.text() : "");
}

doctor::Checks nic_checks(const shm::NicStats& nic, uint64_t core) {
    doctor::Checks checks;
    if (nic.present == 0) return checks;
    const std::string at = fmt::format("core {}: ", core);
    const auto warn = [&](const char* name, uint64_t count, const std::string& what, const std::string& mend) {
        if (count != 0) checks.push_back({"nic", name, Grade::kWarn, at + grouped(count) + " " + what, mend});
    };
    if (nic.link_up == 0) {
        checks.push_back({"nic", "link", Grade::kBad, at + "down: no datagram comes or goes",
                          "look at the cable and the switch; on a kernel interface: ip link set IFACE up"});
    }
    warn("missed", nic.missed, "packets missed: the device's ring was full", "give Eagre a core of its own (--wait spin), or more cores");
    warn("buffers", nic.no_mbuf, "times no buffer was left", "more memory: sysctl vm.nr_hugepages; or fewer inlets that nobody reads");
    warn("superframes", nic.oversized, "packets larger than the MTU: the sender's kernel leaves cutting to a card",
         "on the sending interface, where there is no card between: ethtool -K IFACE tx off gso off tso off");
    warn("checksums", nic.bad_checksum, "packets with a bad checksum: offloaded by the sender's kernel, or broken on the way",
         "on the sending interface, where there is no card between: ethtool -K IFACE tx off");
    warn("fragments", nic.fragments, "fragments dropped: nothing is put together here", "datagrams no larger than the path's MTU: --datagram-bytes");
    warn("vlan", nic.vlan, "tagged packets dropped", "an untagged port of the switch");
    warn("steering", nic.steer_full, "packets dropped for other cores that did not keep up", "as many queues as cores, or --wait spin");
    if (checks.empty()) checks.push_back({"nic", "device", Grade::kGood, at + grouped(nic.rx_packets) + " packets in, none lost", ""});
    return checks;
}

doctor::Checks nic_checks(const std::string& stats_path) {
    doctor::Checks all;
    const auto now = shm::StatsSnapshot::read(stats_path, monotonic_ns());
    if (!now || !now->alive()) return all;
    for (uint32_t i = 0; i < now->core_count(); ++i) {
        for (doctor::Check& check : nic_checks(now->core(i).nic, now->core(i).core)) all.push_back(std::move(check));
    }
    return all;
}

}  // namespace eagre::cli
