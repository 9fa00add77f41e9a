#pragma once
// Connections without a network: a test puts bytes in and takes bytes out. Sends can be made short
// to test back-pressure.

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "dataplane/io/connections.h"

namespace eagre::test {

class FakeConnections final : public io::Connections {
  public:
    struct Pipe {
        std::deque<std::byte> in;    // What receive() will give.
        std::vector<std::byte> out;  // What send() took.
        size_t room = SIZE_MAX;      // How much send() still takes.
        bool ended = false;          // The peer is gone once `in` is empty.
    };
    std::map<uint64_t, Pipe> pipes;
    std::set<uint64_t> closed;

    void feed(io::ConnectionId id, std::span<const std::byte> bytes) {
        Pipe& pipe = pipes[id.value];
        pipe.in.insert(pipe.in.end(), bytes.begin(), bytes.end());
    }

    Result<io::ListenerId> listen(std::string_view, uint16_t) override { return io::ListenerId{0}; }
    Result<io::ListenerId> listen_unix(std::string_view) override { return io::ListenerId{1}; }
    io::Address peer_of(io::ConnectionId) const override { return {}; }
    uint16_t port_of(io::ListenerId) const override { return 1; }
    size_t events(std::span<io::ConnectionEvent>) override { return 0; }
    Result<size_t> receive(io::ConnectionId id, std::span<std::byte> target) override {
        if (closed.contains(id.value)) return Errc::kDisconnected;
        Pipe& pipe = pipes[id.value];
        if (pipe.in.empty() && pipe.ended) return Errc::kDisconnected;
        const size_t count = std::min(target.size(), pipe.in.size());
        std::copy_n(pipe.in.begin(), count, target.begin());
        pipe.in.erase(pipe.in.begin(), pipe.in.begin() + static_cast<ptrdiff_t>(count));
        return count;
    }
    Result<size_t> send(io::ConnectionId id, std::span<const io::ByteSlice> slices) override {
        if (closed.contains(id.value)) return Errc::kDisconnected;
        Pipe& pipe = pipes[id.value];
        size_t taken = 0;
        for (const io::ByteSlice& slice : slices) {
            const size_t count = std::min(slice.bytes, pipe.room);
            pipe.out.insert(pipe.out.end(), slice.data, slice.data + count);
            pipe.room -= pipe.room == SIZE_MAX ? 0 : count;
            taken += count;
            if (count < slice.bytes) break;
        }
        return taken;
    }
    void close(io::ConnectionId id) override { closed.insert(id.value); }
};

}  // namespace eagre::test
