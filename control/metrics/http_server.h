#pragma once
// A small HTTP server for one page, on GNU libmicrohttpd: it reads and writes when it is told to,
// so that it lives in another's poll loop. One thread; nothing waits. Every connection is one
// request, has a bound on its bytes and on its whole time (kConnectionNsMax from accept to the last
// byte), and there are few of them; who is too slow is cut off. HTTP/1.1 without TLS, bodies are
// refused.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "wire/base/result.h"

struct MHD_Daemon;

namespace eagre::metrics {

inline constexpr unsigned kConnectionCountMax = 16;
/// Of a request's line and headers.
inline constexpr size_t kRequestBytesMax = 16 * 1024;
/// Half as long as Prometheus waits for a page by default; a page takes milliseconds.
inline constexpr uint64_t kConnectionNsMax = 5'000'000'000ULL;
inline constexpr uint16_t kMetricsPort = 9568;  // Where people will look for it.

/// HOST:PORT, the host numeric, in brackets when it is IPv6: "127.0.0.1:9568", "[::1]:9568".
struct HttpAddress {
    std::string host;
    uint16_t port = 0;
    bool loopback = false;

    /// Errors: kBadArgument.
    static Result<HttpAddress> parse(const std::string& text);
    std::string text() const;
};

class HttpServer {
  public:
    /// Makes the page; called for each GET or HEAD of /metrics, from poll(). Shared, so that
    /// several who fetch at once cost one page.
    using Page = std::function<std::shared_ptr<const std::string>()>;

    /// Port 0 takes any. Errors: kPortInUse (detail = port), kIo.
    static Result<std::unique_ptr<HttpServer>> listen(const HttpAddress& address, Page page);
    virtual ~HttpServer() = default;

    /// One turn: accepts, reads, answers, writes, cuts off what is overdue.
    virtual void poll(uint64_t now_ns) = 0;
    /// Readable when poll() has something to do.
    virtual int wait_fd() const = 0;
    /// poll() no later than this, on the same clock; UINT64_MAX when there is nobody.
    virtual uint64_t next_deadline_ns() const = 0;
    /// Where it listens, with the port that was taken.
    virtual const HttpAddress& address() const = 0;
    /// Connections cut off because they were too slow.
    virtual uint64_t cut_count() const = 0;
};

}  // namespace eagre::metrics
