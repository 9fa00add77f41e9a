// `eagre clock accept`: the operator vouches for the wall clock after a jump.
#include <memory>

#include <fmt/format.h>

#include "tools/eagre/commands.h"
#include "tools/eagre/target.h"

namespace eagre::cli {

void add_clock(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand("clock", "Vouch for the wall clock after a jump");
    command->require_subcommand(1);
    command->footer("Examples:\n  eagre clock accept");
    auto target = std::make_shared<Target>();
    CLI::App* accept = command->add_subcommand("accept", "The clock is right: let retention go on");
    target->add_data_option(*accept);
    accept->footer(
        "When the box starts and finds that the clock has jumped, retention waits, so that a wrong "
        "clock can't remove\n"
        "records before their time. Check the time, then say so.\n\nExamples:\n  date\n  eagre "
        "clock accept");
    accept->callback([target, &status] {
        const Status accepted = target->connect_control()->accept_clock();
        if (!accepted) fail("clock accept", accepted.error());
        fmt::print("accepted: retention goes on\n");
        status = 0;
    });
}

}  // namespace eagre::cli
