// Any bytes as an Ethernet frame: as they come, and with the checksums put right, so that what lies behind them is reached. What is
// found lies within the frame, and what we would answer is well formed itself.
#include <array>
#include <cstring>

#include "dataplane/io/packets/arp_cache.h"
#include "dataplane/io/packets/build.h"
#include "dataplane/io/packets/checksum.h"
#include "dataplane/io/packets/membership.h"
#include "dataplane/io/packets/parse.h"
#include "tests/fuzz/fuzz_input.h"
#include "wire/base/assert.h"

using namespace eagre;
using namespace eagre::io::packets;

namespace {

constexpr Mac kUs{std::byte{2}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{1}};
constexpr Ip4 kOurs{0x0a000002};
constexpr Ip4 kGroup{0xef010101};
const Host kHost{kUs, kOurs};

void answer(const Parsed& parsed) {
    std::array<std::byte, 2048> place;
    const Host asker{parsed.from_mac, parsed.from};
    // Who is asked by us reads what we say.
    const Receiver there{parsed.from_mac, parsed.from, 1500, false, false};
    if (parsed.kind == Kind::kArpRequest) {
        const size_t bytes = build_arp_reply(place, kHost, asker);
        const Parsed again = parse_frame(std::span(place).first(bytes), there);
        EAGRE_ASSERT(again.kind == Kind::kArpReply && again.from == kOurs);
    }
    if (parsed.kind == Kind::kIcmpEcho) {
        const size_t bytes = build_echo_reply(place, kHost, asker, parsed.payload);
        EAGRE_ASSERT(bytes > 0);
        if (asker.address.value != 0) EAGRE_ASSERT(parse_frame(std::span(place).first(bytes), there).drop == Drop::kNone);
    }
    if (parsed.kind == Kind::kIgmpQuery) {
        const IgmpQuery query = read_query(parsed.payload);
        fuzz::keep(fuzz::touch(query.sources));
        Membership membership(7);
        EAGRE_ASSERT(membership.join(kGroup, {}, 1).has_value());
        EAGRE_ASSERT(membership.join(kGroup, Ip4{0x0a000009}, 1).has_value());
        membership.on_query(query, 2);
        IgmpReport report;
        for (uint32_t i = 0; membership.due_ns() != UINT64_MAX; ++i) {
            EAGRE_ASSERT(i < 16);
            if (!membership.next_report(membership.due_ns(), report)) continue;
            const size_t bytes = build_report(place, kHost, report);
            EAGRE_ASSERT(checksum_holds(std::span(place).subspan(kEthernetBytes, kIpBytes + 4)) && bytes >= kFrameBytesMin);
        }
    }
}

void check(std::span<const std::byte> frame) {
    const Parsed parsed = parse_frame(frame, {kUs, kOurs, 1500, false, false});
    EAGRE_ASSERT((parsed.kind == Kind::kDropped) == (parsed.drop != Drop::kNone));
    if (!parsed.payload.empty()) {
        EAGRE_ASSERT(parsed.payload.data() >= frame.data());
        EAGRE_ASSERT(parsed.payload.data() + parsed.payload.size() <= frame.data() + frame.size());
        fuzz::keep(fuzz::touch(parsed.payload));
    }
    if (parsed.kind == Kind::kUdp) EAGRE_ASSERT(parsed.to == kOurs || is_group(parsed.to));
    ArpCache cache;
    if (parsed.kind == Kind::kArpRequest || parsed.kind == Kind::kArpReply) {
        cache.learn(parsed.from, parsed.from_mac, 5, true);
        fuzz::keep(cache.find(parsed.from, 6).mac != nullptr ? 1 : 0);
    }
    answer(parsed);
}

// Address, checksums and lengths of an IPv4 packet as they would have to be.
void mend(std::span<std::byte> frame) {
    if (frame.size() < kEthernetBytes + kIpBytes) return;
    std::memcpy(frame.data(), kUs.data(), kUs.size());
    if (load16(frame, 12) != kTypeIp) return;
    const auto packet = frame.subspan(kEthernetBytes);
    const size_t header = (std::to_integer<size_t>(packet[0]) & 0xfU) * 4;
    if (header < kIpBytes || header > packet.size()) return;
    packet[0] = static_cast<std::byte>(0x40U | header / 4);
    if (!is_group(Ip4{load32(packet, 16)})) store32(packet, 16, kOurs.value);
    store_checksum(packet.first(header), 10);
    const size_t total = load16(packet, 2);
    if (total < header + 8 || total > packet.size()) return;
    const auto message = packet.subspan(header, total - header);
    const auto protocol = std::to_integer<uint8_t>(packet[9]);
    if (protocol == kProtocolIgmp || protocol == kProtocolIcmp) store_checksum(message, 2);
    if (protocol == kProtocolUdp) store16(message, 6, 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fuzz::AlignedInput input({data, size});
    check(input.bytes());
    mend(input.writable());
    check(input.bytes());
    return 0;
}
