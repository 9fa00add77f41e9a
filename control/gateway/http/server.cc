#include "control/gateway/http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "wire/base/assert.h"

namespace eagre::gateway {
namespace {

constexpr int kBacklog = 1024;
constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kReadsPerTurn = 4;  // Then the others have their turn.
constexpr size_t kSpareBytesMin = 256 * 1024;
constexpr size_t kSpareCountMax = 4;
constexpr uint64_t kCheckNs = 200'000'000;
constexpr uint64_t kListener = 1ULL << 63U;  // And its index; connections count from 1.

std::string_view reason_of(int status) {
    switch (status) {
        case 200: return "OK";
        case 400: return "Bad Request";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 413: return "Content Too Large";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        default: return "Status";
    }
}

std::string date_text() {
    const time_t now = ::time(nullptr);
    tm parts{};
    ::gmtime_r(&now, &parts);
    std::array<char, 40> text{};
    const size_t bytes = ::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text.data(), bytes};
}

/// `chunked`: how long the body will be is not known yet.
void append_head(std::string& out, const Response& response, bool keep_alive, bool chunked = false) {
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\ndate: {}\r\n", response.status, reason_of(response.status), date_text());
    if (chunked) out += "transfer-encoding: chunked\r\n";
    else fmt::format_to(std::back_inserter(out), "content-length: {}\r\n", response.body.size());
    for (const auto& [name, value] : response.headers) fmt::format_to(std::back_inserter(out), "{}: {}\r\n", name, value);
    out += keep_alive ? "\r\n" : "connection: close\r\n\r\n";
}

struct Slice {
    const std::byte* data;
    size_t bytes;
};

class SocketSource final : public tls::Source {
  public:
    explicit SocketSource(int fd) : fd_(fd) {}
    /// Also: an errno with the error where it was not the other side that ended in good order.
    Result<size_t> pull(std::span<std::byte> target) override {
        const ssize_t got = ::recv(fd_, target.data(), target.size(), 0);
        if (got > 0) return static_cast<size_t>(got);
        if (got == 0) return Errc::kDisconnected;
        if (errno == EAGAIN || errno == EINTR) return size_t{0};
        return os_error(Errc::kDisconnected, errno);
    }

  private:
    int fd_;
};

/// Bytes taken of both, the first first; 0: none now.
Result<size_t> write_some(int fd, std::span<const std::byte> first, std::span<const std::byte> second) {
    const auto piece = [](std::span<const std::byte> bytes) { return iovec{const_cast<std::byte*>(bytes.data()), bytes.size()}; };
    iovec pieces[2] = {piece(first), piece(second)};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    const ssize_t taken = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (taken >= 0) return static_cast<size_t>(taken);
    if (errno == EAGAIN || errno == EINTR) return size_t{0};
    return os_error(Errc::kDisconnected, errno);
}

}  // namespace

Result<std::unique_ptr<Server>> Server::create(const ServerLimits& limits) {
    std::unique_ptr<Server> server(new Server(limits));
    server->buffer_.resize(kReadBytes);
    server->plain_.resize(tls::kChunkBytes);
    server->epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll_fd_ < 0) return os_error(Errc::kIo, errno);
    return server;
}

Result<uint16_t> Server::listen(const std::string& address, uint16_t port, const tls::TlsContext* tls, bool shared) {
    sockaddr_storage where{};
    socklen_t bytes = 0;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
    if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        bytes = sizeof(*v4);
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        bytes = sizeof(*v6);
    } else {
        return Errc::kBadArgument;
    }
    const int fd = ::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return os_error(Errc::kIo, errno);
    const uint64_t index = listeners_.size();
    listeners_.push_back({fd, tls});  // Closed with the server, whatever comes.
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (shared) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&where), bytes) != 0 || ::listen(fd, kBacklog) != 0)
        return os_error(errno == EADDRINUSE ? Errc::kPortInUse : Errc::kIo, errno, port);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &bytes) != 0) return os_error(Errc::kIo, errno);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kListener + index;
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) return os_error(Errc::kIo, errno);
    return ntohs(where.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
}

Server::~Server() {
    for (auto& [id, connection] : connections_) ::close(connection.fd);
    for (const Listener& listener : listeners_) ::close(listener.fd);
    if (epoll_fd_ >= 0) ::close(epoll_fd_);
}

void Server::poll(uint64_t now_ns) {
    now_ns_ = now_ns;
    std::array<epoll_event, 128> events;
    const int count = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), 0);
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<size_t>(i)];
        if (event.data.u64 >= kListener) {
            accept_all(listeners_[event.data.u64 - kListener]);
            continue;
        }
        const auto found = connections_.find(event.data.u64);
        if (found == connections_.end()) continue;
        Connection& connection = found->second;
        bool alive = (event.events & EPOLLERR) == 0;
        if (alive && (event.events & EPOLLOUT) != 0) alive = send(connection) && parse(found->first, connection);
        if (alive && (connection.pending || (event.events & (EPOLLIN | EPOLLHUP)) != 0)) alive = receive(found->first, connection);
        // Nobody takes the rest of an answer that goes on. What he said last has been read: closing with it unread would be a reset.
        if (connection.streaming != 0 && (event.events & (EPOLLRDHUP | EPOLLHUP)) != 0) alive = false;
        settle(found->first, connection, alive);
    }
    if (now_ns_ >= next_check_ns_) check_time();
}

void Server::accept_all(const Listener& listener) {
    for (;;) {
        const int fd = ::accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (connections_.size() >= limits_.connection_count) {
            ++stats_.turned_away_count;
            ::close(fd);
            continue;
        }
        ++stats_.accepted_count;
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        const uint64_t id = ++last_connection_;
        Connection& connection = connections_[id];
        connection.fd = fd;
        connection.since_ns = now_ns_;
        if (listener.tls != nullptr) {
            auto pipe = tls::TlsPipe::create(*listener.tls);
            if (!pipe) {
                ::close(fd);
                connections_.erase(id);
                continue;
            }
            connection.tls = std::move(*pipe);
        }
        epoll_event event{};
        event.events = connection.interest = EPOLLIN;
        event.data.u64 = id;
        if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) drop(id);
    }
}

Result<size_t> Server::read(Connection& connection) {
    SocketSource socket(connection.fd);
    const auto target = std::as_writable_bytes(std::span(buffer_));
    if (connection.tls == nullptr) return socket.pull(target);
    tls::TlsPipe& pipe = *connection.tls;
    if (!pipe.established()) {
        const auto done = pipe.handshake(socket);
        // An alert, where it went wrong, is part of what is to be said.
        if (!send(connection)) return Errc::kDisconnected;
        if (!done) return done.error();
        if (!*done) return size_t{0};
        connection.since_ns = now_ns_;
        if (pipe.protocol() == "h2") connection.http2 = std::make_unique<Http2Session>();
    }
    const auto got = pipe.receive(socket, target);
    connection.pending = got.has_value() && *got == buffer_.size();
    return got;
}

bool Server::receive(uint64_t id, Connection& connection) {
    for (size_t i = 0; i < kReadsPerTurn && connection.exchange == 0 && !connection.closing && all_sent(connection); ++i) {
        const auto got = read(connection);
        if (!got) {
            if (got.error().code == Errc::kTlsFailed) ++stats_.bad_count;
            connection.ended = true;
            return got.error().os_errno == 0 && (is_busy(connection) || !all_sent(connection));
        }
        if (*got == 0) return true;
        if (connection.input.empty() && !connection.parser.in_request()) connection.since_ns = now_ns_;
        connection.input.append(buffer_, 0, *got);
        if (!parse(id, connection)) return false;
        if (!count_buffered(connection)) return send(connection);
        if (*got < buffer_.size()) break;
    }
    return true;
}

bool Server::parse_http2(uint64_t id, Connection& connection) {
    Http2Session& session = *connection.http2;
    bool alive = true;
    if (!connection.input.empty()) {
        alive = session.receive(connection.input, now_ns_);
        connection.input.clear();
    }
    for (const int32_t stream : session.take_closed()) {
        const auto found = connection.open.find(stream);
        if (found == connection.open.end()) continue;
        ++stats_.closed_count;
        if (exchanges_.at(found->second).streaming) --connection.streaming;
        exchanges_.erase(found->second);
        connection.open.erase(found);
    }
    for (auto& [stream, request] : session.take_requests()) {
        ++stats_.request_count;
        const uint64_t exchange = ++last_exchange_;
        connection.open[stream] = exchange;
        exchanges_[exchange] = {id, stream, false};
        callback_(ExchangeId{exchange}, std::move(request));
    }
    if (!alive) {
        if (!session.finished()) ++stats_.bad_count;
        connection.closing = true;
    }
    return send(connection);
}

// Until a request is under way, or no more of one has come.
bool Server::parse(uint64_t id, Connection& connection) {
    if (connection.http2 == nullptr && !connection.parser.in_request() && connection.exchange == 0 && !connection.input.empty() &&
        kHttp2Preface.starts_with(std::string_view(connection.input).substr(0, kHttp2Preface.size()))) {
        // No request of HTTP/1.1 begins like this and goes on.
        if (connection.input.size() < kHttp2Preface.size()) return true;
        connection.http2 = std::make_unique<Http2Session>();
    }
    if (connection.http2 != nullptr) return parse_http2(id, connection);
    while (connection.exchange == 0 && !connection.closing && connection.body.empty()) {
        switch (connection.parser.advance(connection.input)) {
            case Http1Parser::Step::kMore:
                return true;
            case Http1Parser::Step::kContinue:
                connection.output += "HTTP/1.1 100 Continue\r\n\r\n";
                if (!send(connection)) return false;
                break;
            case Http1Parser::Step::kBad:
                ++stats_.bad_count;
                refuse(connection, connection.parser.status());
                return send(connection);
            case Http1Parser::Step::kRequest: {
                ++stats_.request_count;
                connection.exchange = ++last_exchange_;
                exchanges_[connection.exchange] = {id, 0, false};
                Request request = connection.parser.take();
                connection.keep_alive = request.keep_alive;
                connection.since_ns = now_ns_;
                callback_(ExchangeId{connection.exchange}, std::move(request));
                // It may have been answered at once, and all of it sent.
                break;
            }
        }
    }
    return true;
}

void Server::respond(ExchangeId exchange, Response response) {
    const auto found = exchanges_.find(exchange.value);
    if (found == exchanges_.end()) return;
    const auto [id, stream, streaming] = found->second;
    exchanges_.erase(found);
    Connection& connection = connections_.at(id);
    if (stream != 0) {
        connection.open.erase(stream);
        connection.since_ns = now_ns_;
        connection.http2->respond(stream, std::move(response), date_text());
        send(connection);
        return watch(id, connection);
    }
    connection.exchange = 0;
    connection.since_ns = now_ns_;
    append_head(connection.output, response, connection.keep_alive && !connection.ended);
    connection.body = std::move(response.body);  // The one before has gone: no request is taken up earlier.
    connection.body_sent = 0;
    if (!connection.keep_alive) connection.closing = true;
    // What comes behind it is parsed when the socket can be written to: not here, in the middle of somebody's work.
    send(connection);
    watch(id, connection);
}

void Server::append_chunk(Connection& connection, std::string_view bytes) {
    if (bytes.empty()) return;  // That would be the end.
    if (connection.sent > connection.output.size() / 2) {
        connection.output.erase(0, connection.sent);
        connection.sent = 0;
    }
    fmt::format_to(std::back_inserter(connection.output), "{:x}\r\n", bytes.size());
    connection.output.append(bytes);
    connection.output += "\r\n";
}

void Server::begin(ExchangeId exchange, Response head) {
    const auto found = exchanges_.find(exchange.value);
    if (found == exchanges_.end()) return;
    const auto [id, stream, streaming] = found->second;
    Connection& connection = connections_.at(id);
    connection.since_ns = now_ns_;
    found->second.streaming = true;
    if (!streaming) ++connection.streaming;
    if (stream != 0) {
        connection.http2->begin(stream, head, date_text());
    } else {
        append_head(connection.output, head, connection.keep_alive, true);
        append_chunk(connection, head.body);
    }
    send(connection);
    watch(id, connection);
}

void Server::write(ExchangeId exchange, std::string_view bytes) {
    const auto found = exchanges_.find(exchange.value);
    if (found == exchanges_.end()) return;
    const auto [id, stream, streaming] = found->second;
    Connection& connection = connections_.at(id);
    // How long a client takes nothing counts from when there is something to take.
    if (all_sent(connection)) connection.since_ns = now_ns_;
    if (stream != 0) connection.http2->append(stream, bytes);
    else append_chunk(connection, bytes);
    send(connection);
    watch(id, connection);
}

std::optional<size_t> Server::unsent(ExchangeId exchange) const {
    const auto found = exchanges_.find(exchange.value);
    if (found == exchanges_.end()) return std::nullopt;
    const Connection& connection = connections_.at(found->second.connection);
    const size_t waiting = connection.output.size() - connection.sent;
    return found->second.stream != 0 ? waiting + connection.http2->unsent(found->second.stream) : waiting;
}

void Server::finish(ExchangeId exchange) {
    const auto found = exchanges_.find(exchange.value);
    if (found == exchanges_.end()) return;
    const auto [id, stream, streaming] = found->second;
    exchanges_.erase(found);
    Connection& connection = connections_.at(id);
    connection.since_ns = now_ns_;
    if (streaming) --connection.streaming;
    if (stream != 0) {
        connection.open.erase(stream);
        connection.http2->finish(stream);
    } else {
        connection.exchange = 0;
        connection.output += "0\r\n\r\n";
        if (!connection.keep_alive) connection.closing = true;
    }
    send(connection);
    watch(id, connection);
}

Result<size_t> Server::put(Connection& connection) {
    const std::span output = std::as_bytes(std::span(connection.output).subspan(connection.sent));
    const std::span body = std::as_bytes(std::span(connection.body).subspan(connection.body_sent));
    if (connection.tls == nullptr) {
        const auto taken = write_some(connection.fd, output, body);
        if (!taken) return taken;
        connection.sent += std::min(*taken, output.size());
        connection.body_sent += *taken - std::min(*taken, output.size());
        return taken;
    }
    tls::TlsPipe& pipe = *connection.tls;
    if (pipe.outgoing().empty()) {
        if (!pipe.established()) return size_t{0};  // There is nothing to say before.
        // A short head goes with its body.
        const Slice slices[2] = {{output.data(), output.size()}, {body.data(), body.size()}};
        const auto piece = tls::Pieces<Slice>(std::span(slices).subspan(output.empty() ? 1 : 0, output.empty() || body.empty() ? 1 : 2)).next(plain_);
        if (const Status encrypted = pipe.send(piece); !encrypted) return encrypted.error();
        connection.sent += std::min(piece.size(), output.size());
        connection.body_sent += piece.size() - std::min(piece.size(), output.size());
    }
    const auto taken = write_some(connection.fd, pipe.outgoing(), {});
    if (taken) pipe.sent(*taken);
    return taken;
}

bool Server::send(Connection& connection) {
    for (;;) {
        // So much at a time: what a client does not take stays with its session.
        if (connection.http2 != nullptr && connection.sent == connection.output.size()) {
            connection.output.clear();
            connection.sent = 0;
            connection.http2->output(connection.output, kReadBytes);
        }
        if (all_sent(connection)) break;
        const auto taken = put(connection);
        if (!taken) {
            connection.output.clear();
            connection.body.clear();
            connection.sent = connection.body_sent = 0;
            connection.closing = true;
            return false;
        }
        if (*taken == 0) return true;
        connection.since_ns = now_ns_;
    }
    connection.output.clear();
    if (connection.output.capacity() > kReadBytes) connection.output.shrink_to_fit();
    connection.sent = 0;
    keep(connection.body);
    connection.body_sent = 0;
    return true;
}

void Server::keep(std::string& buffer) {
    buffer.clear();
    if (buffer.capacity() >= kSpareBytesMin && spare_.size() < kSpareCountMax) spare_.push_back(std::move(buffer));
    buffer = std::string();
}

std::string Server::take_buffer() {
    if (spare_.empty()) return {};
    std::string buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
}

bool Server::settle(uint64_t id, Connection& connection, bool alive) {
    const bool sent = all_sent(connection);
    // Its last words may have been about what was wrong.
    if (connection.http2 != nullptr && connection.http2->finished()) connection.closing = true;
    if (!alive || (sent && (connection.closing || (connection.ended && !is_busy(connection))))) {
        drop(id);
        return false;
    }
    watch(id, connection);
    return true;
}

// While a request is under way nothing more is read: who sends on fills his own socket.
void Server::watch(uint64_t id, Connection& connection) {
    uint32_t interest = connection.streaming != 0 ? uint32_t{EPOLLRDHUP} : 0;
    if (connection.exchange == 0 && !connection.ended && all_sent(connection)) interest |= connection.pending ? EPOLLIN | EPOLLOUT : EPOLLIN;
    const bool waiting = !connection.input.empty() && connection.exchange == 0 && connection.http2 == nullptr && !connection.parser.in_request();
    if (!all_sent(connection) || connection.closing || waiting) interest |= EPOLLOUT;
    if (interest == connection.interest) return;
    connection.interest = interest;
    epoll_event event{};
    event.events = interest;
    event.data.u64 = id;
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, connection.fd, &event);
}

bool Server::count_buffered(Connection& connection) {
    const size_t now = connection.input.size() + connection.parser.body_bytes() + (connection.http2 == nullptr ? 0 : connection.http2->body_bytes());
    buffered_ += now - connection.buffered;
    const bool grown = now > connection.buffered;
    connection.buffered = now;
    if (buffered_ <= limits_.buffered_bytes || !grown || connection.closing) return true;
    ++stats_.bad_count;
    if (connection.http2 == nullptr && connection.exchange == 0) refuse(connection, 503);
    connection.closing = true;
    return false;
}

void Server::refuse(Connection& connection, int status) {
    Response response;
    response.status = status;
    append_head(connection.output, response, false);
    connection.closing = true;
}

void Server::drop(uint64_t id) {
    const auto found = connections_.find(id);
    EAGRE_ASSERT(found != connections_.end());
    ++stats_.closed_count;
    buffered_ -= found->second.buffered;
    if (found->second.exchange != 0) exchanges_.erase(found->second.exchange);
    for (const auto& [stream, exchange] : found->second.open) exchanges_.erase(exchange);
    if (tls::TlsPipe* pipe = found->second.tls.get(); pipe != nullptr && pipe->outgoing().empty()) {
        pipe->end();
        (void)write_some(found->second.fd, pipe->outgoing(), {});
    }
    ::close(found->second.fd);
    connections_.erase(found);
}

uint64_t Server::allowed_ns(const Connection& connection) const {
    if (!all_sent(connection) || connection.closing) return limits_.send_ns;
    if (is_busy(connection)) return UINT64_MAX;  // Ours to answer.
    if (connection.tls != nullptr && !connection.tls->established()) return limits_.head_ns;
    if (connection.parser.in_request()) return limits_.body_ns;
    return connection.input.empty() ? limits_.idle_ns : limits_.head_ns;
}

void Server::check_time() {
    next_check_ns_ = now_ns_ + kCheckNs;
    std::vector<uint64_t> late;
    for (const auto& [id, connection] : connections_) {
        const uint64_t oldest_ns = connection.http2 == nullptr ? UINT64_MAX : connection.http2->oldest_ns();
        const bool slow = oldest_ns < now_ns_ && now_ns_ - oldest_ns > limits_.body_ns;
        if (slow || now_ns_ - connection.since_ns > allowed_ns(connection)) late.push_back(id);
    }
    for (const uint64_t id : late) {
        Connection& connection = connections_.at(id);
        const bool spoken = connection.tls == nullptr || connection.tls->established();
        const bool tell = spoken && !connection.closing && all_sent(connection) && connection.http2 == nullptr && (connection.parser.in_request() || !connection.input.empty());
        if (tell) refuse(connection, 408);
        if (tell) send(connection);
        if (tell || connection.closing || connection.http2 != nullptr) ++stats_.cut_count;
        drop(id);
    }
}

bool Server::sending() const {
    for (const auto& [id, connection] : connections_) {
        if (!all_sent(connection) || is_busy(connection)) return true;
    }
    return false;
}

}  // namespace eagre::gateway
