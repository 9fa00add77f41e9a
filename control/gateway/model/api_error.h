#pragma once
// What a client is told when a call fails: the exception's name decides whether SDKs retry.

#include <string>
#include <string_view>
#include <utility>

#include "wire/base/result.h"

namespace eagre::gateway {

struct ApiError {
    std::string type;  // Without "Exception" it is not one of the service's own: InternalFailure.
    std::string message;
    int status = 400;
};

inline ApiError invalid_argument(std::string message) { return {"InvalidArgumentException", std::move(message)}; }
inline ApiError not_found(std::string message) { return {"ResourceNotFoundException", std::move(message)}; }
inline ApiError in_use(std::string message) { return {"ResourceInUseException", std::move(message)}; }
inline ApiError limit_exceeded(std::string message) { return {"LimitExceededException", std::move(message)}; }
inline ApiError validation(std::string message) { return {"ValidationException", std::move(message)}; }
inline ApiError serialization(std::string message) { return {"SerializationException", std::move(message)}; }
inline ApiError dry_run() { return {"DryRunOperationException", "The request would have succeeded, but DryRun was set."}; }
/// Retried by every SDK.
inline ApiError unavailable(std::string message) { return {"InternalFailure", std::move(message), 500}; }
/// What Eagre does not have: not retried, and never pretended.
inline ApiError not_available(std::string message) { return {"NotAvailableException", std::move(message)}; }

}  // namespace eagre::gateway
