#pragma once
// The process without its command line: as many gateways as it is given CPUs, each a reactor with its own connections, beside each other on
// one port. They share nothing but the port: side by side in one process is as side by side in several.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/base/limits.h"

namespace eagre::gateway {

struct ServeOptions {
    std::string data = "eagre-data";
    std::string listen = "127.0.0.1";
    uint16_t port = 4567;
    std::optional<uint16_t> plain_port;
    std::vector<uint32_t> cpus;  // One reactor on each; empty: one, wherever the system puts it.
    std::string box = "127.0.0.1";
    uint16_t box_port = kPortDefault;
    std::string box_cert;
    bool auth = false;
    std::string tls_cert;  // Both or neither.
    std::string tls_key;
    std::string region = "us-east-1";
    std::string account = "000000000000";
    uint32_t shard_quota = 500;
    uint32_t connections = 4096;  // Of all reactors.
    bool insecure = false;
};

inline constexpr size_t kReactorCountMax = 64;

/// Until SIGINT or SIGTERM. The exit status.
int serve(const ServeOptions& options);

}  // namespace eagre::gateway
