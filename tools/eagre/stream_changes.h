#pragma once
// What `eagre stream create`, `set`, `tag` and `untag` share: limits and tags on a command line.

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "wire/client/control_client.h"

namespace eagre::cli {

struct LimitOptions {
    std::string retention = {};
    std::string retention_bytes = {};
    std::string record_bytes_max = {};
    std::string quota_bytes_per_s = {};
    std::string quota_records_per_s = {};

    void add(CLI::App& command);
    /// What was given, without the name. Throws std::runtime_error that says what to give instead.
    client::SetStream parse() const;
};

/// "key=value" each; the value may be empty and may hold more '='. Throws std::runtime_error.
client::StreamTags parse_tags(const std::vector<std::string>& texts);

/// Adds `set`, `tag` and `untag` to `eagre stream`.
void add_stream_changes(CLI::App& stream, int& status);

}  // namespace eagre::cli
