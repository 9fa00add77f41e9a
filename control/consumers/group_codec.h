#pragma once
// The tables of wire/schema/groups.fbs to and from the plain data of groups.h.

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "control/consumers/groups.h"
#include "wire/base/result.h"

namespace eagre::consumers {

/// Verifies and reads a GroupRequest; `ticket` is left 0. Errors: kBadSchema.
Result<Ask> decode_ask(std::span<const std::byte> payload);

/// `message`: a sentence for people, or empty.
std::vector<std::byte> encode_answer(const Answer& answer, std::string_view message);

}  // namespace eagre::consumers
