#pragma once
// One line of a feed: a port that is listened at, and the group that is joined.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tools/eagre/feed/datagram_sender.h"

namespace eagre::cli {

struct ReceiverOptions {
    Endpoint at;            // A group is joined; any other address is this machine's own.
    std::string interface;  // Where a group is joined; empty: the system's choice.
    std::string source;     // Only its datagrams of the group (source-specific multicast); empty: anybody's.
    size_t receive_buffer = 16 * 1024 * 1024;
};

class LineReceiver {
  public:
    /// Throws std::runtime_error with a sentence for people.
    explicit LineReceiver(const ReceiverOptions& options);
    ~LineReceiver();
    LineReceiver(const LineReceiver&) = delete;
    LineReceiver& operator=(const LineReceiver&) = delete;

    int fd() const { return fd_; }
    /// Hands on what is there, at most `count_max` datagrams; those that were cut are empty. How many.
    size_t receive(size_t count_max, const std::function<void(std::span<const std::byte>)>& take);
    /// Datagrams that the system had no room for.
    uint64_t dropped() const { return dropped_; }

  private:
    static constexpr size_t kBatch = 64;

    int fd_ = -1;
    uint64_t dropped_ = 0;
    std::vector<std::byte> area_;
};

}  // namespace eagre::cli
