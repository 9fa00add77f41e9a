#include "perf/ceilings/tcp_pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/base/assert.h"

namespace eagre::perf {

TcpPair connect_tcp_pair() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EAGRE_ASSERT(::bind(listener, generic, length) == 0);
    EAGRE_ASSERT(::listen(listener, 1) == 0);
    EAGRE_ASSERT(::getsockname(listener, generic, &length) == 0);
    TcpPair pair;
    pair.client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EAGRE_ASSERT(::connect(pair.client, generic, length) == 0);
    pair.server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    EAGRE_ASSERT(pair.server >= 0);
    ::close(listener);
    const int on = 1;
    ::setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(pair.server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return pair;
}

}  // namespace eagre::perf
