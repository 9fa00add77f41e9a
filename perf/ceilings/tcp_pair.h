#pragma once

namespace eagre::perf {

struct TcpPair {
    int server = -1;
    int client = -1;
};

/// A connected pair over loopback TCP, not a socketpair: the whole stack lies in between. Both without Nagle's delay; the caller closes.
TcpPair connect_tcp_pair();

}  // namespace eagre::perf
