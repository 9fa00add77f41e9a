#include "dataplane/io/sim/sim_connections.h"

#include <cerrno>

#include "dataplane/io/sim/sim_world.h"
#include "wire/base/assert.h"

namespace eagre::io::sim {
namespace {

constexpr size_t kSendSliceCountMax = 64;  // As connections.h says.

}  // namespace

Result<ListenerId> SimConnections::listen(std::string_view address, uint16_t port) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    const bool numeric =
        !address.empty() &&
        address.find_first_not_of("0123456789abcdefABCDEF.:") == std::string_view::npos;
    if (!numeric) return Errc::kBadArgument;
    const auto bound = node_.world().network().listen(*this, next_listener_, port);
    if (!bound) return bound.error();
    ports_.emplace(next_listener_, *bound);
    return ListenerId{next_listener_++};
}

Result<ListenerId> SimConnections::listen_unix(std::string_view path) {
    if (!node_.alive()) return os_error(Errc::kIo, EIO);
    node_.world().network().listen_unix(*this, next_listener_, path);
    ports_.emplace(next_listener_, uint16_t{0});
    return ListenerId{next_listener_++};
}

uint16_t SimConnections::port_of(ListenerId listener) const {
    const auto port = ports_.find(listener.value);
    EAGRE_ASSERT(port != ports_.end());
    return port->second;
}

Address SimConnections::peer_of(ConnectionId connection) const {
    return node_.world().network().peer_of(connection.value);
}

size_t SimConnections::events(std::span<ConnectionEvent> events) {
    size_t count = 0;
    while (count < events.size() && !ready_.empty()) {
        const ConnectionEvent event = ready_.front();
        ready_.pop_front();
        if (!open_.contains(event.connection.value)) continue;  // Closed since.
        events[count++] = event;
    }
    return count;
}

Result<size_t> SimConnections::receive(ConnectionId connection, std::span<std::byte> target) {
    const auto state = open_.find(connection.value);
    if (state == open_.end()) return Errc::kDisconnected;
    const auto received = node_.world().network().receive(connection.value, target);
    if (received && *received == 0) state->second.tell_readable = true;
    return received;
}

Result<size_t> SimConnections::send(ConnectionId connection, std::span<const ByteSlice> slices) {
    EAGRE_ASSERT_LE(slices.size(), kSendSliceCountMax);
    const auto state = open_.find(connection.value);
    if (state == open_.end()) return Errc::kDisconnected;
    size_t taken = 0;
    for (const ByteSlice& slice : slices) {
        const auto sent = node_.world().network().send(connection.value, {slice.data, slice.bytes});
        if (!sent) return sent.error();
        taken += *sent;
        if (*sent < slice.bytes) {
            state->second.tell_writable = true;
            break;
        }
    }
    return taken;
}

void SimConnections::close(ConnectionId connection) {
    if (open_.erase(connection.value) != 0) node_.world().network().close(connection.value);
}

void SimConnections::pipe_accepted(uint32_t listener, uint64_t end) {
    open_.emplace(end, State{});
    arrived_.push_back({ConnectionEvent::Kind::kAccepted, ConnectionId{end}, ListenerId{listener}});
}

void SimConnections::pipe_readable(uint64_t end) {
    const auto state = open_.find(end);
    if (state == open_.end() || !state->second.tell_readable) return;
    state->second.tell_readable = false;
    arrived_.push_back({ConnectionEvent::Kind::kReadable, ConnectionId{end}, {}});
}

void SimConnections::pipe_writable(uint64_t end) {
    const auto state = open_.find(end);
    if (state == open_.end() || !state->second.tell_writable) return;
    state->second.tell_writable = false;
    arrived_.push_back({ConnectionEvent::Kind::kWritable, ConnectionId{end}, {}});
}

void SimConnections::poll() {
    while (!arrived_.empty()) {
        ready_.push_back(arrived_.front());
        arrived_.pop_front();
    }
}

void SimConnections::die(bool power_lost) {
    open_.clear();
    arrived_.clear();
    ready_.clear();
    node_.world().network().drop_owner(*this, power_lost);
}

}  // namespace eagre::io::sim
