#include "dataplane/io/uring/socket_address.h"

#include <cstring>

#include <netinet/in.h>

namespace eagre::io {

Address address_of(const sockaddr_storage& from) {
    Address address;
    if (from.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &from, sizeof(v4));
        address.family = 4;
        address.port = ntohs(v4.sin_port);
        std::memcpy(address.ip.data(), &v4.sin_addr, 4);
    } else if (from.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &from, sizeof(v6));
        address.family = 6;
        address.port = ntohs(v6.sin6_port);
        std::memcpy(address.ip.data(), &v6.sin6_addr, 16);
    }
    return address;
}

socklen_t fill_sockaddr(const Address& address, sockaddr_storage& target) {
    if (address.family == 4) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(address.port);
        std::memcpy(&v4.sin_addr, address.ip.data(), 4);
        std::memcpy(&target, &v4, sizeof(v4));
        return sizeof(v4);
    }
    if (address.family == 6) {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(address.port);
        std::memcpy(&v6.sin6_addr, address.ip.data(), 16);
        std::memcpy(&target, &v6, sizeof(v6));
        return sizeof(v6);
    }
    return 0;
}

}  // namespace eagre::io
