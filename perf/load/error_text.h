#pragma once
// Errors as a person reads them.

#include <string>

#include "wire/base/result.h"

namespace eagre::load {

/// "<what>: <advice> (<Name>, detail N, <strerror>)".
std::string error_text(const std::string& what, const Error& error);

}  // namespace eagre::load
