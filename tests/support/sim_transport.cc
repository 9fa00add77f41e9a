#include "tests/support/sim_transport.h"

#include <algorithm>

namespace eagre::test {

Result<client::PipeId> SimTransport::connect(std::string_view address, uint16_t port) {
    return client::PipeId{world_.network().connect(*this, address, port)};
}

Result<size_t> SimTransport::send(client::PipeId pipe, std::span<const client::Slice> slices) {
    size_t taken = 0;
    for (const client::Slice& slice : slices) {
        const auto sent = world_.network().send(pipe.value, {slice.data, slice.bytes});
        if (!sent) return sent.error();
        taken += *sent;
        if (*sent < slice.bytes) break;
    }
    return taken;
}

Result<size_t> SimTransport::receive(client::PipeId pipe, std::span<std::byte> target) {
    const auto received = world_.network().receive(pipe.value, target);
    if (received && *received == 0) ready_.erase(pipe.value);
    return received;
}

SimTransport::~SimTransport() {
    for (const auto& [id, pipe] : datagram_pipes_) world_.network().unbind_datagrams(*pipe);
    world_.network().drop_owner(*this, false);
}

Result<client::PipeId> SimTransport::open_datagrams(std::string_view /*address*/, uint16_t port) {
    auto pipe = std::make_unique<DatagramPipe>();
    const auto bound = world_.network().bind_datagrams(*pipe, 0);
    if (!bound) return bound.error();
    pipe->owner = this;
    pipe->id = next_datagram_pipe_++;
    pipe->here = io::sim::SimNetwork::address_of_host(host_, *bound);
    pipe->there = io::sim::SimNetwork::address_of_host(io::sim::kSimServerHost, port);
    const uint64_t id = pipe->id;
    datagram_pipes_.emplace(id, std::move(pipe));
    return client::PipeId{id};
}

Result<size_t> SimTransport::send_datagrams(client::PipeId pipe, std::span<const client::DatagramSlices> datagrams) {
    const auto found = datagram_pipes_.find(pipe.value);
    if (found == datagram_pipes_.end()) return Errc::kDisconnected;
    size_t sent = 0;
    for (const client::DatagramSlices& each : datagrams) {
        if (each.envelope.bytes + each.frame.bytes > path_bytes) {
            if (sent != 0) return sent;
            return error_of(Errc::kBadLength, path_bytes);
        }
        last_datagram.assign(each.envelope.data, each.envelope.data + each.envelope.bytes);
        if (each.frame.bytes != 0)
            last_datagram.insert(last_datagram.end(), each.frame.data, each.frame.data + each.frame.bytes);
        world_.network().send_datagram(found->second->here, found->second->there, last_datagram);
        ++sent;
    }
    return sent;
}

Result<size_t> SimTransport::receive_datagrams(client::PipeId pipe, std::span<std::byte> area,
                                               std::span<uint32_t> lengths) {
    const auto found = datagram_pipes_.find(pipe.value);
    if (found == datagram_pipes_.end()) return Errc::kDisconnected;
    auto& arrived = found->second->arrived;
    const size_t place_bytes = area.size() / lengths.size();
    size_t count = 0;
    for (; count < lengths.size() && !arrived.empty(); ++count) {
        const auto& bytes = arrived.front();
        const size_t kept = std::min(bytes.size(), place_bytes);
        std::copy_n(bytes.begin(), kept, area.begin() + static_cast<ptrdiff_t>(count * place_bytes));
        lengths[count] = static_cast<uint32_t>(kept);
        arrived.pop_front();
    }
    if (arrived.empty()) ready_.erase(pipe.value);
    return count;
}

void SimTransport::close(client::PipeId pipe) {
    if (const auto datagrams = datagram_pipes_.find(pipe.value); datagrams != datagram_pipes_.end()) {
        world_.network().unbind_datagrams(*datagrams->second);
        datagram_pipes_.erase(datagrams);
        ready_.erase(pipe.value);
        return;
    }
    world_.network().close(pipe.value);
    ready_.erase(pipe.value);
}

std::optional<client::PipeId> SimTransport::accept() {
    if (waiting_.empty()) return std::nullopt;
    const client::PipeId pipe{waiting_.front()};
    waiting_.pop_front();
    return pipe;
}

void SimTransport::wait(uint64_t timeout_ns) {
    if (world_.in_turn()) return;
    const uint64_t deadline = world_.now_ns() + timeout_ns;
    do {
        if (timeout_ns != 0 && (!ready_.empty() || !waiting_.empty() || progress_)) break;
        world_.turn();
    } while (world_.now_ns() < deadline);
    progress_ = false;
}

}  // namespace eagre::test
