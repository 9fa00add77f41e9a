#pragma once
// AWS's Signature Version 4: what a request says of who signed it, and whether he did. Header and query form. Pure functions.
// docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "control/gateway/http/message.h"
#include "control/gateway/model/api_error.h"

namespace eagre::gateway {

/// How far clocks may be apart.
inline constexpr uint64_t kSkewMs = 300'000;

struct Signature {
    std::string key_id;
    std::string day;             // YYYYMMDD, of the scope.
    std::string region;
    std::string signed_headers;  // As sent: names in order, ';' between them.
    std::string signature;       // 64 hex digits, lower case.
    std::string time;            // YYYYMMDDTHHMMSSZ.
    uint64_t time_ms = 0;
    uint64_t expires_ms = 0;     // After `time`: query form. 0: header form.
    bool token = false;          // A session token came with it.
    bool in_query = false;
};

/// Errors: MissingAuthenticationTokenException, IncompleteSignatureException, InvalidSignatureException (said twice, another service, a
/// header that must be signed and is not).
std::variant<Signature, ApiError> read_signature(const Request& request);
/// True when a client said that it signed, in whichever form.
bool is_signed(const Request& request);
/// Nothing: it is neither too old nor of the future. Else InvalidSignatureException.
std::variant<std::monostate, ApiError> check_time(const Signature& signature, uint64_t now_ms);
/// True when `secret` made it.
bool is_made_with(const Signature& signature, const Request& request, std::string_view secret);
/// The region of its scope, without looking at the rest; empty when there is none.
std::string_view region_of(const Request& request);

ApiError wrong_signature();
ApiError unknown_key();

}  // namespace eagre::gateway
