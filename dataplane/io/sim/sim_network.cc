#include "dataplane/io/sim/sim_network.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/io/sim/sim_world.h"
#include "wire/base/assert.h"

namespace eagre::io::sim {

std::string SimNetwork::key_of(std::string_view address, uint16_t port) const {
    if (address.starts_with("unix:")) return std::string(address);
    return "port:" + std::to_string(port);
}

SimNetwork::End* SimNetwork::find(uint64_t end) {
    const auto found = ends_.find(end);
    return found == ends_.end() ? nullptr : &found->second;
}

Result<uint16_t> SimNetwork::listen(SimPipeOwner& owner, uint32_t listener, uint16_t port) {
    while (port == 0) {
        if (!listeners_.contains(key_of("", next_port_))) port = next_port_;
        ++next_port_;
    }
    if (!listeners_.try_emplace(key_of("", port), Listener{&owner, listener}).second) {
        return Error{Errc::kPortInUse, EADDRINUSE, port};
    }
    return port;
}

void SimNetwork::listen_unix(SimPipeOwner& owner, uint32_t listener, std::string_view path) {
    listeners_.insert_or_assign("unix:" + std::string(path), Listener{&owner, listener});
}

uint64_t SimNetwork::connect(SimPipeOwner& owner, std::string_view address, uint16_t port) {
    const uint64_t id = next_end_++;
    ends_[id].owner = &owner;
    const SimFaults& faults = world_.faults();
    world_.schedule(world_.between(faults.net_latency_ns_min, faults.net_latency_ns_max),
                    [this, id, key = key_of(address, port)] { establish(id, key); });
    return id;
}

void SimNetwork::establish(uint64_t client, const std::string& key) {
    End* near = find(client);
    if (near == nullptr) return;
    if (near->owner == nullptr) {  // Closed before it came about.
        ends_.erase(client);
        return;
    }
    const auto listener = listeners_.find(key);
    if (listener == listeners_.end() || world_.prng().chance(world_.faults().refuse_per_million)) {
        break_end(client);
        return;
    }
    const uint64_t server = next_end_++;
    End& far = ends_[server];
    far.owner = listener->second.owner;
    far.peer = client;
    far.connected = true;
    near->peer = server;
    near->connected = true;
    near->wants_room = false;
    world_.note(5, server);
    far.owner->pipe_accepted(listener->second.id, server);
    near->owner->pipe_writable(client);
}

uint64_t SimNetwork::arrival_delay_ns(End& target) {
    const SimFaults& faults = world_.faults();
    uint64_t delay_ns = world_.between(faults.net_latency_ns_min, faults.net_latency_ns_max);
    if (world_.prng().chance(faults.net_delay_per_million)) delay_ns += faults.net_delay_ns;
    const uint64_t arrival_ns = std::max(world_.now_ns() + delay_ns, target.last_arrival_ns);
    target.last_arrival_ns = arrival_ns;
    return arrival_ns - world_.now_ns();
}

Result<size_t> SimNetwork::send(uint64_t id, std::span<const std::byte> bytes) {
    End* end = find(id);
    if (end == nullptr || end->broken) return Errc::kDisconnected;
    if (!end->connected) {
        end->wants_room = true;
        return size_t{0};
    }
    End* far = find(end->peer);
    if (far == nullptr || far->owner == nullptr) return Errc::kDisconnected;
    if (!bytes.empty() && world_.prng().chance(world_.faults().reset_per_million)) {
        reset(id);
        return Errc::kDisconnected;
    }
    const uint64_t held = far->on_the_way_bytes + far->unread.size() - far->unread_begin;
    const uint64_t room =
        world_.faults().pipe_bytes_max - std::min(held, world_.faults().pipe_bytes_max);
    const size_t taken = std::min<size_t>(bytes.size(), room);
    if (taken < bytes.size()) end->wants_room = true;
    for (size_t begin = 0; begin < taken;) {
        size_t count = taken - begin;
        const uint32_t chunk = world_.faults().chunk_bytes_max;
        if (chunk != 0) count = std::min<size_t>(count, 1 + world_.prng().below(chunk));
        const auto piece = bytes.subspan(begin, count);
        far->on_the_way_bytes += count;
        world_.schedule(arrival_delay_ns(*far),
                        [this, to = end->peer, copy = std::vector(piece.begin(), piece.end())] {
                            arrive(to, copy);
                        });
        begin += count;
    }
    return taken;
}

void SimNetwork::arrive(uint64_t id, std::vector<std::byte> bytes) {
    End* end = find(id);
    if (end == nullptr || end->broken || end->owner == nullptr) return;
    EAGRE_ASSERT_GE(end->on_the_way_bytes, bytes.size());
    end->on_the_way_bytes -= bytes.size();
    end->unread.insert(end->unread.end(), bytes.begin(), bytes.end());
    world_.note(6, id << 32U ^ bytes.size());
    end->owner->pipe_readable(id);
}

Result<size_t> SimNetwork::receive(uint64_t id, std::span<std::byte> target) {
    End* end = find(id);
    if (end == nullptr || end->broken) return Errc::kDisconnected;
    const size_t unread = end->unread.size() - end->unread_begin;
    if (unread == 0) {
        if (end->ended) return Errc::kDisconnected;
        return size_t{0};
    }
    const size_t count = std::min(unread, target.size());
    std::memcpy(target.data(), end->unread.data() + end->unread_begin, count);
    end->unread_begin += count;
    if (end->unread_begin == end->unread.size()) {
        end->unread.clear();
        end->unread_begin = 0;
    }
    offer_room(end->peer);
    return count;
}

void SimNetwork::offer_room(uint64_t sender) {
    End* end = find(sender);
    if (end == nullptr || !end->wants_room || end->owner == nullptr) return;
    end->wants_room = false;
    world_.schedule(world_.faults().net_latency_ns_min, [this, sender] {
        End* waiting = find(sender);
        if (waiting != nullptr && waiting->owner != nullptr) waiting->owner->pipe_writable(sender);
    });
}

void SimNetwork::close(uint64_t id) {
    End* end = find(id);
    if (end == nullptr || end->owner == nullptr) return;
    end->owner = nullptr;
    if (!end->connected && !end->broken) return;  // establish() finds it so and forgets it.
    const uint64_t peer = end->peer;
    ends_.erase(id);
    End* far = find(peer);
    if (far == nullptr || far->broken) return;
    world_.schedule(arrival_delay_ns(*far), [this, peer] {
        End* other = find(peer);
        if (other == nullptr || other->owner == nullptr) return;
        other->ended = true;
        other->owner->pipe_readable(peer);
    });
    offer_room(peer);  // Who waits to send learns that there is nobody.
}

void SimNetwork::break_end(uint64_t id) {
    End* end = find(id);
    if (end == nullptr || end->broken) return;
    end->broken = true;
    end->unread.clear();
    end->unread_begin = 0;
    end->on_the_way_bytes = 0;
    if (end->owner == nullptr) return;
    end->owner->pipe_readable(id);
    end->owner->pipe_writable(id);
}

void SimNetwork::reset(uint64_t id) {
    End* end = find(id);
    if (end == nullptr || end->broken) return;
    const uint64_t peer = end->peer;
    world_.note(7, id);
    world_.schedule(world_.faults().net_latency_ns_min, [this, peer] { break_end(peer); });
    break_end(id);
}

void SimNetwork::drop_owner(SimPipeOwner& owner, bool abrupt) {
    std::erase_if(listeners_, [&owner](const auto& entry) { return entry.second.owner == &owner; });
    std::vector<uint64_t> mine;
    for (const auto& [id, end] : ends_) {
        if (end.owner == &owner) mine.push_back(id);
    }
    for (const uint64_t id : mine) {
        if (abrupt) {
            const uint64_t peer = ends_[id].peer;
            world_.schedule(world_.faults().net_latency_ns_min, [this, peer] { break_end(peer); });
        }
        close(id);
    }
}

void SimNetwork::reset_all() {
    std::vector<uint64_t> all;
    for (const auto& [id, end] : ends_) all.push_back(id);
    for (const uint64_t id : all) reset(id);
}

Address SimNetwork::address_of_host(uint8_t host, uint16_t port) {
    Address address;
    address.family = 4;
    address.port = port;
    address.ip[0] = std::byte{10};
    address.ip[3] = std::byte{host};
    return address;
}

Address SimNetwork::peer_of(uint64_t id) const {
    const auto end = ends_.find(id);
    if (end == ends_.end()) return {};
    const auto far = ends_.find(end->second.peer);
    if (far == ends_.end() || far->second.owner == nullptr) return {};
    return address_of_host(far->second.owner->host(), static_cast<uint16_t>(far->first));
}

Result<uint16_t> SimNetwork::bind_datagrams(SimDatagramOwner& owner, uint16_t port) {
    while (port == 0) {
        if (!datagram_ports_.contains(next_datagram_port_)) port = next_datagram_port_;
        ++next_datagram_port_;
    }
    if (!datagram_ports_.try_emplace(port, &owner).second) {
        return Error{Errc::kPortInUse, EADDRINUSE, port};
    }
    return port;
}

void SimNetwork::unbind_datagrams(SimDatagramOwner& owner) {
    std::erase_if(datagram_ports_, [&owner](const auto& entry) { return entry.second == &owner; });
}

void SimNetwork::send_datagram(const Address& from, const Address& to,
                               std::span<const std::byte> bytes) {
    const SimFaults& faults = world_.faults();
    Prng& prng = world_.prng();
    if (prng.chance(faults.datagram_loss_per_million)) return;
    const int copies = prng.chance(faults.datagram_repeat_per_million) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
        // Each takes its own time, so that datagrams overtake one another even without faults.
        uint64_t delay_ns = world_.between(faults.net_latency_ns_min, faults.net_latency_ns_max);
        if (prng.chance(faults.datagram_delay_per_million)) delay_ns += faults.datagram_delay_ns;
        std::vector<std::byte> copy(bytes.begin(), bytes.end());
        if (!copy.empty() && prng.chance(faults.datagram_corrupt_per_million)) {
            const uint64_t bit = prng.below(copy.size() * 8);
            copy[bit / 8] ^= std::byte{1} << (bit % 8);
        }
        world_.schedule(delay_ns, [this, from, to, arrived = std::move(copy)] {
            const auto port = datagram_ports_.find(to.port);
            if (port == datagram_ports_.end()) return;
            world_.note(8, arrived.size());
            port->second->datagram_arrived(from, arrived);
        });
    }
}

}  // namespace eagre::io::sim
