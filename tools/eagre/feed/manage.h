#pragma once

#include <CLI/CLI.hpp>

namespace eagre::cli {

/// `eagre feed add|list|describe|pause|resume|remove`.
void add_feed_management(CLI::App& feed, int& status);

}  // namespace eagre::cli
