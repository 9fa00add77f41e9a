#include "control/metrics/http_server.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "wire/base/assert.h"

namespace eagre::metrics {
namespace {

constexpr unsigned kListenBacklog = 16;
constexpr std::string_view kIndex =
    "<!doctype html><title>eagre-control</title><p>Eagre. <a href=\"/metrics\">Metrics</a> for "
    "Prometheus.\n";
constexpr std::string_view kNothingHere = "Nothing here: the metrics are at /metrics.\n";
constexpr std::string_view kOnlyGet = "Only GET and HEAD are answered.\n";

struct SocketAddress {
    sockaddr_storage storage{};
    bool v6 = false;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

bool fill(SocketAddress& target, const std::string& host, uint16_t port) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&target.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&target.storage);
    if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        target.v6 = true;
        return true;
    }
    return false;
}

bool is_loopback(const SocketAddress& address) {
    if (address.v6) {
        return IN6_IS_ADDR_LOOPBACK(
            &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr);
    }
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
}

class MicroHttpServer final : public HttpServer {
  public:
    MicroHttpServer(HttpAddress address, Page page)
        : address_(std::move(address)), page_(std::move(page)) {}
    ~MicroHttpServer() override {
        if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
    }

    Status start() {
        SocketAddress target;
        EAGRE_ASSERT(fill(target, address_.host, address_.port));
        const unsigned flags = MHD_USE_EPOLL | (target.v6 ? unsigned{MHD_USE_IPv6} : 0U);
        errno = 0;
        daemon_ = MHD_start_daemon(
            flags, 0, nullptr, nullptr, &MicroHttpServer::on_request, this, MHD_OPTION_SOCK_ADDR,
            target.get(), MHD_OPTION_CONNECTION_LIMIT, kConnectionCountMax,
            MHD_OPTION_LISTEN_BACKLOG_SIZE, kListenBacklog, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
            kRequestBytesMax, MHD_OPTION_CONNECTION_TIMEOUT,
            static_cast<unsigned>(kConnectionNsMax / 1'000'000'000ULL),
            MHD_OPTION_NOTIFY_CONNECTION, &MicroHttpServer::on_connection, this,
            // Control ignores SIGPIPE.
            MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
        if (daemon_ == nullptr && errno == EADDRINUSE)
            return os_error(Errc::kPortInUse, errno, address_.port);
        if (daemon_ == nullptr) return os_error(Errc::kIo, errno);
        wait_fd_ = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        address_.port = MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_BIND_PORT)->port;
        return {};
    }

    void poll(uint64_t now_ns) override {
        now_ns_ = now_ns;
        for (auto& [connection, state] : connections_) {
            if (state.cut || now_ns < state.deadline_ns) continue;
            // The library's own limit is on idleness: it would serve one byte every four seconds
            // for ever. It finds the socket shut and lets go of it.
            shutdown(
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                SHUT_RDWR);
            state.cut = true;
            ++cut_count_;
        }
        MHD_run(daemon_);
    }

    int wait_fd() const override { return wait_fd_; }
    uint64_t next_deadline_ns() const override {
        uint64_t due = UINT64_MAX;
        for (const auto& [connection, state] : connections_) {
            if (!state.cut) due = std::min(due, state.deadline_ns);
        }
        MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
        if (MHD_get_timeout(daemon_, &timeout_ms) == MHD_YES)
            due = std::min<uint64_t>(due, now_ns_ + uint64_t{timeout_ms} * 1'000'000);
        return due;
    }
    const HttpAddress& address() const override { return address_; }
    uint64_t cut_count() const override { return cut_count_; }

  private:
    struct Connection {
        uint64_t deadline_ns = 0;
        bool cut = false;
    };
    /// A page that is being sent lives until its last byte is.
    using Sent = std::shared_ptr<const std::string>;

    static void on_connection(void* self, MHD_Connection* connection, void** /*context*/,
                              MHD_ConnectionNotificationCode what) {
        auto& server = *static_cast<MicroHttpServer*>(self);
        if (what == MHD_CONNECTION_NOTIFY_STARTED)
            server.connections_[connection] = {server.now_ns_ + kConnectionNsMax, false};
        else
            server.connections_.erase(connection);
    }

    static MHD_Result on_request(void* self, MHD_Connection* connection, const char* url,
                                 const char* method, const char* /*version*/, const char* /*body*/,
                                 size_t* /*body_bytes*/, void** /*context*/) {
        auto& server = *static_cast<MicroHttpServer*>(self);
        const std::string_view path(url);
        const std::string_view verb(method);
        if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD)
            return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
                          constant(kOnlyGet));
        if (path == "/") return answer(connection, MHD_HTTP_OK, "text/html", constant(kIndex));
        if (path != "/metrics")
            return answer(connection, MHD_HTTP_NOT_FOUND, "text/plain", constant(kNothingHere));
        return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                      server.page_());
    }

    static Sent constant(std::string_view text) { return std::make_shared<std::string>(text); }

    /// MHD_NO closes the connection.
    static MHD_Result answer(MHD_Connection* connection, unsigned status, const char* type,
                             Sent page) {
        auto* kept = new Sent(std::move(page));
        // The library only reads what it is given.
        MHD_Response* response = MHD_create_response_from_buffer_with_free_callback_cls(
            (*kept)->size(), const_cast<char*>((*kept)->data()), &MicroHttpServer::let_go, kept);
        if (response == nullptr) {
            delete kept;
            return MHD_NO;
        }
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
            MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        // One request each: the time of a connection is the time of its request.
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
        const MHD_Result queued = MHD_queue_response(connection, status, response);
        MHD_destroy_response(response);
        return queued;
    }
    static void let_go(void* kept) { delete static_cast<Sent*>(kept); }

    HttpAddress address_;
    Page page_;
    MHD_Daemon* daemon_ = nullptr;
    int wait_fd_ = -1;
    uint64_t now_ns_ = 0;
    uint64_t cut_count_ = 0;
    std::map<MHD_Connection*, Connection> connections_;
};

}  // namespace

Result<HttpAddress> HttpAddress::parse(const std::string& text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos) return Errc::kBadArgument;
    HttpAddress address;
    address.host = text.substr(0, colon);
    const bool bracketed = address.host.starts_with('[') && address.host.ends_with(']');
    if (bracketed) address.host = address.host.substr(1, address.host.size() - 2);
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, address.port);
    if (error != std::errc() || stop != end) return Errc::kBadArgument;
    SocketAddress target;
    // Without brackets nobody can tell the port of an IPv6 address from its end.
    if (!fill(target, address.host, address.port) || target.v6 != bracketed)
        return Errc::kBadArgument;
    address.loopback = is_loopback(target);
    return address;
}

std::string HttpAddress::text() const {
    return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                               : fmt::format("[{}]:{}", host, port);
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const HttpAddress& address, Page page) {
    auto server = std::make_unique<MicroHttpServer>(address, std::move(page));
    if (const Status started = server->start(); !started) return started.error();
    return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace eagre::metrics
