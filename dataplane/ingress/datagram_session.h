#pragma once
// What a session of a connection has in addition when its client also sends datagrams. Made by a request over TCP, gone with
// the connection: a token is worth nothing longer than the connection that it was told over.

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/ingress/packet_window.h"
#include "dataplane/io/address.h"
#include "wire/frame/datagram.h"
#include "wire/frame/frame.h"
#include "wire/shm/stats.h"

namespace eagre::ingress {

inline constexpr uint16_t kNoPlace = UINT16_MAX;

struct DatagramSession {
    DatagramSession() { places.fill(kNoPlace); }

    frame::DatagramToken token;
    io::Address peer;               // Host: that of the connection. Port: of the first datagram with the right token.
    bool pinned = false;            // The port is known.
    uint32_t datagram_bytes = 0;    // Largest that the client takes.
    PacketWindow numbered;
    std::array<uint16_t, kDatagramWindow> places;  // By packet % window: where a packet that came too early lies.
    PacketWindow loose;
    uint64_t loose_count = 0;       // Different loose packets that came.
    uint64_t newest_sent_ns = 0;    // Of what came, in the client's clock.
    uint64_t answer_count = 0;
    uint64_t acknowledge_at_ns = 0; // 0: nothing to acknowledge.
    uint32_t unacknowledged = 0;    // Numbered packets since the last answer.
    bool pending = false;           // In the door's list of those that have something to say.
    bool stalled = false;           // What is next in order lies here and waits for room in the journal.
    std::vector<frame::FrameHeader> answers;
    shm::DatagramProducer* stats = nullptr;
};

}  // namespace eagre::ingress
