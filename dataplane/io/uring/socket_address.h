#pragma once
// Between the kernel's socket addresses and ours.

#include <sys/socket.h>

#include "dataplane/io/address.h"

namespace eagre::io {

/// family 0 when it is neither IPv4 nor IPv6.
Address address_of(const sockaddr_storage& from);
/// Returns the length used in `target`; 0 for family 0.
socklen_t fill_sockaddr(const Address& address, sockaddr_storage& target);

}  // namespace eagre::io
