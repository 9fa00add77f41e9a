#pragma once
// The server's side of one HTTP/2 connection, on nghttp2: bytes in, whole requests out; answers in, bytes out. No sockets, no clock.
//
// Bounds: streams at once, bytes of a head, of a body, and of all bodies that are not whole yet; more are reset (REFUSED_STREAM or
// ENHANCE_YOUR_CALM). nghttp2 itself bounds resets, settings and pings that a client sends without end.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/gateway/http/message.h"

struct nghttp2_session;

namespace eagre::gateway {

/// What a client with prior knowledge begins with.
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr uint32_t kHttp2StreamsMax = 128;
inline constexpr size_t kHttp2BodiesBytesMax = 4 * kBodyBytesMax;

class Http2Session {
  public:
    Http2Session();
    ~Http2Session();
    Http2Session(const Http2Session&) = delete;
    Http2Session& operator=(const Http2Session&) = delete;

    /// False: the connection has come to its end; what output() gives is the last of it.
    bool receive(std::string_view bytes, uint64_t now_ns);
    /// Requests that have become whole, with their streams. Each is answered, or closed by the client before.
    std::vector<std::pair<int32_t, Request>> take_requests() { return std::exchange(requests_, {}); }
    /// Streams of such requests that were closed before their answer was sent.
    std::vector<int32_t> take_closed() { return std::exchange(closed_, {}); }
    void respond(int32_t stream, Response response, const std::string& date);
    /// Begins an answer that goes on with append() until finish().
    void begin(int32_t stream, const Response& head, const std::string& date);
    void append(int32_t stream, std::string_view bytes);
    void finish(int32_t stream);
    /// Bytes of the answer that have not gone out yet.
    size_t unsent(int32_t stream) const;
    /// Appends what is to be sent, until `out` holds about `bytes_max`.
    void output(std::string& out, size_t bytes_max);
    /// No more is to be sent or received: it may be closed.
    bool finished() const;
    /// When the oldest request began that is not whole; UINT64_MAX: there is none.
    uint64_t oldest_ns() const;
    size_t open_count() const { return streams_.size(); }
    /// Of requests that are not whole.
    size_t body_bytes() const { return body_bytes_; }

  private:
    struct Stream {
        Request request;
        size_t head_bytes = 0;
        uint64_t began_ns = 0;
        bool whole = false;
        std::string answer;
        size_t sent = 0;
        bool open_ended = false;  // More of the answer may come.
    };
    friend struct Http2Callbacks;
    void refuse(int32_t id, Stream& stream, uint32_t error);
    void submit(int32_t id, const Response& head, const std::string& date, const std::string* length, bool body);

    nghttp2_session* session_ = nullptr;
    std::map<int32_t, Stream> streams_;
    size_t body_bytes_ = 0;  // Of requests that are not whole.
    uint64_t now_ns_ = 0;
    std::vector<std::pair<int32_t, Request>> requests_;
    std::vector<int32_t> closed_;
};

}  // namespace eagre::gateway
