#pragma once
// Resource policies: who may do what with a stream or a consumer, as IAM's JSON says it. A document is understood as a whole or refused:
// what Eagre would not enforce (conditions, Not...) is not taken.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/gateway/model/api_error.h"

namespace eagre::gateway {

inline constexpr size_t kPolicyBytesMax = 20 * 1024;

class ResourcePolicy {
  public:
    enum class Verdict : uint8_t { kNone, kAllow, kDeny };

    /// Errors: InvalidArgumentException.
    static std::variant<ResourcePolicy, ApiError> parse(std::string_view text);
    /// `key_id`, `user_arn`: who asks, under both of its names; `action`: "kinesis:PutRecord". A denial counts more than what allows.
    Verdict judge(std::string_view key_id, std::string_view user_arn, std::string_view action, std::string_view resource) const;

  private:
    struct Statement {
        bool allow = false;
        std::vector<std::string> principals;  // "*", a key's id, an ARN; of our account ("...:root", or its 12 digits): all keys.
        std::vector<std::string> actions;     // With * and ?.
        std::vector<std::string> resources;   // The same; of every region.
    };
    std::vector<Statement> statements_;
};

}  // namespace eagre::gateway
