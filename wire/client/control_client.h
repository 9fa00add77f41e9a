#pragma once
// Speaks to eagre-control over its Unix socket: create, delete, list, describe streams. Used by the CLI and by tests.
// Frames as everywhere: kCommand/kCommandReply with the tables of wire/schema/admin.fbs.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.h"
#include "wire/client/client.h"

namespace eagre::client {

struct CreateStream {
    std::string name;
    uint32_t shard_count = 1;
    uint64_t retention_ms = 24ULL * 3600 * 1000;
    uint64_t record_bytes_max = kRecordDataBytesDefault;
};

class ControlClient {
  public:
    /// `socket_path`: DATA/control.sock. Errors: kDisconnected, kTimeout.
    static Result<std::unique_ptr<ControlClient>> connect(const std::string& socket_path, uint64_t timeout_ns);
    virtual ~ControlClient() = default;
    /// Waits until the stream is durable in the journals. Errors: kStreamExists, kBadArgument, kLimitExceeded, kUnavailable.
    virtual Result<StreamDescription> create_stream(const CreateStream& request) = 0;
    virtual Status delete_stream(std::string_view name) = 0;
    virtual Status set_retention(std::string_view name, uint64_t retention_ms) = 0;
    virtual Result<std::vector<StreamDescription>> list_streams() = 0;
    virtual Result<StreamDescription> describe_stream(std::string_view name) = 0;
    virtual Status accept_clock() = 0;
};

}  // namespace eagre::client
