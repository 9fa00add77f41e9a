#pragma once
// The tables of wire/schema/admin.fbs to and from plain data.

#include <cstddef>
#include <span>
#include <vector>

#include "control/admin/admin_server.h"
#include "wire/base/result.h"

namespace eagre::admin {

/// Verifies and reads an AdminRequest; `caller` is left empty. Errors: kBadSchema.
Result<Request> decode_request(std::span<const std::byte> payload);

std::vector<std::byte> encode_answer(const Answer& answer);

}  // namespace eagre::admin
