#include "tests/support/sim_transport.h"

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

void SimTransport::close(client::PipeId pipe) {
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
