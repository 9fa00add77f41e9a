#include "perf/load/error_text.h"

#include <system_error>

#include <fmt/format.h>

namespace eagre::load {

std::string error_text(const std::string& what, const Error& error) {
    std::string text =
        fmt::format("{}: {} ({}", what, errc_advice(error.code), errc_name(error.code));
    if (error.detail != 0) text += fmt::format(", detail {}", error.detail);
    if (error.os_errno != 0)
        text += fmt::format(", {}", std::generic_category().message(error.os_errno));
    return text + ")";
}

}  // namespace eagre::load
