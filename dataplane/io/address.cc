#include "dataplane/io/address.h"

#include <arpa/inet.h>

namespace eagre::io {

Address parse_address(std::string_view text, uint16_t port) {
    const std::string copy(text);
    Address address;
    address.port = port;
    if (::inet_pton(AF_INET, copy.c_str(), address.ip.data()) == 1) {
        address.family = 4;
    } else if (::inet_pton(AF_INET6, copy.c_str(), address.ip.data()) == 1) {
        address.family = 6;
    }
    return address;
}

std::string address_text(const Address& address) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (address.family != 0) ::inet_ntop(address.family == 4 ? AF_INET : AF_INET6, address.ip.data(), text, sizeof(text));
    return text;
}

}  // namespace eagre::io
