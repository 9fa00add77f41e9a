#pragma once
// Datagrams to one address, unicast or multicast, many a call. Blocking, with bounds: a full socket is waited for, a receiver that is not there
// is not.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace eagre::cli {

struct Endpoint {
    std::string address;  // Numeric.
    uint16_t port = 0;
    std::string text() const;
};
/// "239.1.1.1:5000", "[ff02::1]:5000". Throws std::runtime_error.
Endpoint parse_endpoint(const std::string& text);

struct SenderOptions {
    Endpoint to;
    std::string interface;     // Name: multicast goes out there; empty: the system's choice.
    uint32_t hops = 1;         // Multicast: routers it may pass, plus one.
    size_t send_buffer = 4 * 1024 * 1024;
};

class DatagramSender {
  public:
    /// Throws std::runtime_error with a sentence for people.
    explicit DatagramSender(const SenderOptions& options);
    ~DatagramSender();
    DatagramSender(const DatagramSender&) = delete;
    DatagramSender& operator=(const DatagramSender&) = delete;

    /// Copied, and sent with the next flush() or when there are enough. Throws std::runtime_error: it is larger than a datagram may be, or
    /// nothing has gone out for kStalledNs.
    void send(std::span<const std::byte> datagram);
    void flush();

    uint64_t sent() const { return sent_; }
    uint64_t bytes() const { return bytes_sent_; }
    /// Where nobody listened (the other side's kernel said so): sent, and lost.
    uint64_t refused() const { return refused_; }

  private:
    static constexpr size_t kBatch = 64;

    int fd_ = -1;
    std::string name_;
    std::vector<std::byte> bytes_;   // Of those that wait.
    std::vector<size_t> lengths_;
    uint64_t sent_ = 0;
    uint64_t bytes_sent_ = 0;
    uint64_t refused_ = 0;
};

}  // namespace eagre::cli
