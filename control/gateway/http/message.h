#pragma once
// A request and its answer, whichever version of HTTP they travel by.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eagre::gateway {

using Headers = std::vector<std::pair<std::string, std::string>>;  // Names in lower case.

/// 10 MiB of records as base64 in JSON are 14 MB.
inline constexpr size_t kBodyBytesMax = 16 * 1024 * 1024;
inline constexpr size_t kHeadBytesMax = 32 * 1024;
inline constexpr size_t kHeaderCountMax = 100;

struct Request {
    std::string method;
    std::string target;
    Headers headers;
    std::string body;
    bool keep_alive = true;

    /// The first of that name; empty when there is none.
    std::string_view header(std::string_view name) const {
        for (const auto& [each, value] : headers) {
            if (each == name) return value;
        }
        return {};
    }
};

struct Response {
    int status = 200;
    Headers headers;  // Without lengths, date and connection: those are the carrier's.
    std::string body;
};

}  // namespace eagre::gateway
