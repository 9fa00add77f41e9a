// Inlets: ways in for senders that know nothing of us.
#include <algorithm>

#include "dataplane/io/dpdk/dpdk_datagrams.h"
#include "wire/base/assert.h"

namespace eagre::io {

using packets::Ip4;

Result<InletId> DpdkDatagrams::open_inlet(const InletOptions& options) {
    const Ip4 ip = packets::ip4_of(options.local);
    if (options.local.family != 4 || options.local.port == 0) return Errc::kBadArgument;
    if (options.source.family != 0 && options.source.family != 4) return Errc::kBadArgument;
    const bool group = packets::is_group(ip);
    const Ip4 to = ip.value == 0 ? shared_.address : ip;
    if (!group && to != shared_.address) return Errc::kBadArgument;
    if (!options.interface.empty()) {
        const bool known = std::any_of(shared_.devices.begin(), shared_.devices.end(), [&](const NicDevice& device) {
            return device.name == options.interface || device.interface == options.interface;
        });
        if (!known) return Errc::kBadArgument;
    }
    const auto free = std::find(inlets_.begin(), inlets_.end(), nullptr);
    if (free == inlets_.end()) return error_of(Errc::kLimitExceeded, kInletCountMax);
    const Ip4 source = group ? packets::ip4_of(options.source) : Ip4{};
    const uint32_t id = inlet_generation_++ * kInletCountMax + static_cast<uint32_t>(free - inlets_.begin());
    if (group) {
        if (const Status joined = membership_.join(ip, source, now_ns_); !joined) return joined.error();
    }
    if (const Status claimed = shared_.book.claim({to, options.local.port, source, core_, id}); !claimed) {
        if (group) membership_.leave(ip, source, now_ns_, true);
        return claimed.error();
    }
    auto inlet = std::make_unique<Inlet>();
    inlet->id = id;
    inlet->to = to;
    inlet->source = source;
    *free = std::move(inlet);
    if (group) shared_.update_filter();
    return InletId{id};
}

void DpdkDatagrams::close_inlet(InletId id) {
    Inlet* inlet = find(id.value);
    if (inlet == nullptr) return;
    shared_.book.drop(core_, inlet->id);
    if (packets::is_group(inlet->to)) {
        membership_.leave(inlet->to, inlet->source, now_ns_, shared_.book.wanted(inlet->to, inlet->source));
        shared_.update_filter();
        send_reports();
    }
    held_ -= inlet->frames.size();
    inlets_[id.value % kInletCountMax].reset();
}

size_t DpdkDatagrams::rx_inlet(InletId id, std::span<RxPacket> packets) {
    EAGRE_ASSERT_EQ(lent_count_, 0U);
    Inlet* inlet = find(id.value);
    if (inlet == nullptr) return 0;
    // Asked in vain since the last poll: whoever asks again means now. Hundreds of inlets that are each asked once in a turn
    // don't poll hundreds of times.
    if (inlet->frames.size() == 0 && inlet->asked_at_poll == poll_count_) poll();
    const size_t count = hand_out(inlet->frames, packets, false);
    if (count < packets.size()) inlet->asked_at_poll = poll_count_;
    return count;
}

uint64_t DpdkDatagrams::inlet_dropped(InletId id) const {
    const Inlet* inlet = const_cast<DpdkDatagrams*>(this)->find(id.value);
    return inlet == nullptr ? 0 : inlet->dropped;
}

}  // namespace eagre::io
