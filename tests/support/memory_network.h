#pragma once
// Byte pipes in memory and a clock that only moves when somebody waits: the Transport of several
// parties in one thread.

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/sockets/listener.h"
#include "wire/base/prng.h"
#include "wire/client/transport.h"

namespace eagre::test {

class MemoryNetwork final : public client::Transport {
  public:
    explicit MemoryNetwork(uint64_t seed = 1) : prng_(seed) {}

    /// Somebody who can be connected to. Refuses while `accepting` is false.
    class Door final : public sockets::Listener {
      public:
        std::optional<client::PipeId> accept() override {
            if (waiting_.empty()) return std::nullopt;
            const client::PipeId pipe = waiting_.front();
            waiting_.pop_front();
            return pipe;
        }
        bool accepting = true;

      private:
        friend class MemoryNetwork;
        std::deque<client::PipeId> waiting_;
    };
    Door& door(const std::string& address) { return doors_[address]; }

    Result<client::PipeId> connect(std::string_view address, uint16_t /*port*/) override {
        const auto found = doors_.find(std::string(address));
        if (found == doors_.end() || !found->second.accepting) return Errc::kDisconnected;
        ends_.resize(ends_.size() + 2);
        found->second.waiting_.push_back(client::PipeId(ends_.size() - 1));
        return client::PipeId(ends_.size() - 2);
    }
    Result<size_t> send(client::PipeId pipe, std::span<const client::Slice> slices) override {
        End& other = ends_[pipe.value ^ 1U];
        if (ends_[pipe.value].closed || other.closed) return Errc::kDisconnected;
        size_t total = 0;
        for (const client::Slice& slice : slices) {
            const size_t taken =
                std::min(slice.bytes, kPipeBytes - std::min(kPipeBytes, other.incoming.size()));
            other.incoming.insert(other.incoming.end(), slice.data, slice.data + taken);
            total += taken;
        }
        return total;
    }
    Result<size_t> receive(client::PipeId pipe, std::span<std::byte> target) override {
        End& end = ends_[pipe.value];
        if (end.closed) return Errc::kDisconnected;
        const size_t taken = std::min(target.size(), end.incoming.size());
        std::copy_n(end.incoming.begin(), taken, target.begin());
        end.incoming.erase(end.incoming.begin(),
                           end.incoming.begin() + static_cast<std::ptrdiff_t>(taken));
        if (taken == 0 && ends_[pipe.value ^ 1U].closed) return Errc::kDisconnected;
        return taken;
    }
    void close(client::PipeId pipe) override { ends_[pipe.value].closed = true; }
    void wait(uint64_t timeout_ns) override {
        now_ns_ += std::min<uint64_t>(timeout_ns, 1'000'000);
    }
    uint64_t monotonic_ns() override { return now_ns_; }
    uint64_t wall_ns() override { return 1'700'000'000'000'000'000ULL + now_ns_; }
    uint64_t random() override { return prng_.next(); }

  private:
    static constexpr size_t kPipeBytes =
        64 * 1024;  // As a socket: more has to wait, so frames arrive in pieces.
    struct End {
        std::deque<std::byte> incoming;
        bool closed = false;
    };
    std::vector<End> ends_;
    std::map<std::string, Door> doors_;
    uint64_t now_ns_ = 1'000'000'000;
    Prng prng_;
};

}  // namespace eagre::test
