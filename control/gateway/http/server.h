#pragma once
// Serves HTTP/1.1 and HTTP/2 on one socket, plain (HTTP/2 with prior knowledge) or under TLS (by ALPN): accepts, parses, hands requests on,
// sends answers whenever they come. One thread, nothing waits; whoever owns it polls it when wait_fd() is readable or a deadline is near.
//
// Bounds: connections, bytes of head and body, time for a head, for a body, for a client to take its answer, and between requests.
// Of HTTP/1.1 one request of a connection is under way at a time; those behind it (pipelining) wait in the socket.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/gateway/http/http1_parser.h"
#include "control/gateway/http/http2_session.h"
#include "control/gateway/http/message.h"
#include "wire/base/result.h"
#include "wire/base/types.h"
#include "wire/tls/tls.h"

namespace eagre::gateway {

/// A request under way.
using ExchangeId = Strong<struct ExchangeIdTag, uint64_t>;

struct ServerLimits {
    uint32_t connection_count = 4096;
    size_t buffered_bytes = 512ULL * 1024 * 1024;  // Of requests that are not whole, all connections together; more are told 503.
    uint64_t head_ns = 10'000'000'000ULL;   // From a request's first byte to the end of its head, and for a TLS handshake,
    uint64_t body_ns = 60'000'000'000ULL;   // and to the end of its body.
    uint64_t idle_ns = 300'000'000'000ULL;  // Between two requests.
    uint64_t send_ns = 60'000'000'000ULL;   // Without a byte of the answer being taken.
};

struct ServerStats {
    uint64_t accepted_count = 0;
    uint64_t turned_away_count = 0;  // More connections than the limit.
    uint64_t request_count = 0;
    uint64_t bad_count = 0;          // Not HTTP, or over a limit: answered and closed.
    uint64_t cut_count = 0;          // Too slow.
    uint64_t closed_count = 0;       // Connections, and streams of HTTP/2 that their clients closed.
};

class Server {
  public:
    /// Errors: kIo.
    static Result<std::unique_ptr<Server>> create(const ServerLimits& limits);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// One more door. `address`: numeric; port 0 takes any; `tls`: null for plain HTTP, must outlive the server; `shared`: other servers, who
    /// say so too, may have the same port, and the system shares connections out among them. The port.
    /// Errors: kPortInUse (detail = port), kBadArgument, kIo.
    Result<uint16_t> listen(const std::string& address, uint16_t port, const tls::TlsContext* tls = nullptr, bool shared = false);

    /// Called from poll(). Every request is to be answered with respond(), now or later.
    void on_request(std::function<void(ExchangeId, Request&&)> callback) { callback_ = std::move(callback); }
    void poll(uint64_t now_ns);
    /// Whose connection has gone is not answered.
    void respond(ExchangeId exchange, Response response);
    // -- Answers that go on, for whoever has more to say later.
    /// Its head, and the body so far. Nothing happens where the connection has gone: unsent() says so.
    void begin(ExchangeId exchange, Response head);
    /// More of it. The caller bounds what is unsent.
    void write(ExchangeId exchange, std::string_view bytes);
    /// Bytes of it that have not gone out; nothing: the client has gone, or the answer is over.
    std::optional<size_t> unsent(ExchangeId exchange) const;
    void finish(ExchangeId exchange);

    /// Room for a large body, empty, as one had that was sent before: its pages are there already.
    std::string take_buffer();

    int wait_fd() const { return epoll_fd_; }
    uint64_t next_deadline_ns() const { return next_check_ns_; }
    size_t connection_count() const { return connections_.size(); }
    /// True while an answer is half sent.
    bool sending() const;
    const ServerStats& stats() const { return stats_; }

  private:
    struct Connection {
        int fd = -1;
        std::string input;
        std::string output;
        size_t sent = 0;
        std::string body;         // Behind the output: a large answer's, as it was made.
        size_t body_sent = 0;
        Http1Parser parser;
        std::unique_ptr<Http2Session> http2;         // Null: HTTP/1.1, or not known yet.
        std::map<int32_t, uint64_t> open;            // Stream -> exchange, of HTTP/2.
        std::unique_ptr<tls::TlsPipe> tls;           // Null: plain.
        bool pending = false;     // The pipe may hold more than was taken out: the socket does not say so.
        uint64_t exchange = 0;    // Under way; 0: none. Of HTTP/1.1.
        size_t streaming = 0;     // Answers that have begun, and go on.
        bool keep_alive = true;
        bool closing = false;     // When the output has gone.
        bool ended = false;       // The other side sends no more.
        uint32_t interest = 0;    // What epoll watches.
        size_t buffered = 0;      // Its part of buffered_.
        uint64_t since_ns = 0;    // Of the request's first byte; of the last byte taken; of the last answer.
    };

    struct Listener {
        int fd = -1;
        const tls::TlsContext* tls = nullptr;
    };

    explicit Server(const ServerLimits& limits) : limits_(limits) {}
    void accept_all(const Listener& listener);
    /// False: it is over.
    bool receive(uint64_t id, Connection& connection);
    bool parse(uint64_t id, Connection& connection);
    bool parse_http2(uint64_t id, Connection& connection);
    /// Bytes read; 0: none now. Errors: kDisconnected (it ended), kTlsFailed.
    Result<size_t> read(Connection& connection);
    /// Bytes of output and body that were taken; 0: none now. Errors: kDisconnected.
    Result<size_t> put(Connection& connection);
    static bool nothing_to_send(const Connection& connection) { return connection.sent == connection.output.size() && connection.body_sent == connection.body.size(); }
    static bool all_sent(const Connection& connection) { return nothing_to_send(connection) && (connection.tls == nullptr || connection.tls->outgoing().empty()); }
    static void append_chunk(Connection& connection, std::string_view bytes);
    void keep(std::string& buffer);
    static bool is_busy(const Connection& connection) { return connection.exchange != 0 || !connection.open.empty(); }
    bool send(Connection& connection);
    bool settle(uint64_t id, Connection& connection, bool alive);
    void refuse(Connection& connection, int status);
    /// False: with what has come there is too much that is not whole, and this connection is told so.
    bool count_buffered(Connection& connection);
    void drop(uint64_t id);
    void check_time();
    uint64_t allowed_ns(const Connection& connection) const;
    void watch(uint64_t id, Connection& connection);

    ServerLimits limits_;
    std::vector<Listener> listeners_;
    int epoll_fd_ = -1;
    std::map<uint64_t, Connection> connections_;
    struct Exchange {
        uint64_t connection = 0;
        int32_t stream = 0;  // 0: HTTP/1.1.
        bool streaming = false;
    };
    std::map<uint64_t, Exchange> exchanges_;
    uint64_t last_connection_ = 0;
    uint64_t last_exchange_ = 0;
    uint64_t now_ns_ = 0;
    uint64_t next_check_ns_ = 0;
    std::string buffer_;
    std::vector<std::byte> plain_;  // Short pieces on their way into a pipe.
    std::vector<std::string> spare_;  // Bodies that were sent.
    size_t buffered_ = 0;             // Bytes of requests that are not whole.
    std::function<void(ExchangeId, Request&&)> callback_;
    ServerStats stats_;
};

}  // namespace eagre::gateway
