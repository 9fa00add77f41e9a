#pragma once
// The subcommands of `eagre`, each in a file of its own. Each function adds one to the application;
// when it is chosen its callback runs and leaves the exit status in `status`. Callbacks throw
// std::runtime_error with a sentence for people.

#include <CLI/CLI.hpp>

namespace eagre::cli {

void add_up(CLI::App& app, int& status);
void add_stream(CLI::App& app, int& status);
void add_rebalance(CLI::App& app, int& status);
void add_put(CLI::App& app, int& status);
void add_tail(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_stats(CLI::App& app, int& status);
void add_top(CLI::App& app, int& status);
void add_doctor(CLI::App& app, int& status);
void add_dump(CLI::App& app, int& status);
void add_verify(CLI::App& app, int& status);
void add_clock(CLI::App& app, int& status);
void add_key(CLI::App& app, int& status);
void add_group(CLI::App& app, int& status);
void add_feed(CLI::App& app, int& status);
/// What tools/run drives; not in the main help.
void add_session(CLI::App& app, int& status);

}  // namespace eagre::cli
