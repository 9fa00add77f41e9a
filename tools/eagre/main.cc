// `eagre`: one program to run an appliance and to speak to it.
#include <csignal>
#include <exception>

#include <fmt/format.h>

#include "tools/eagre/commands.h"

int main(int argc, char** argv) {
    // `eagre tail | head` closes our output early: writing then answers EPIPE, which is handled,
    // instead of killing us.
    std::signal(SIGPIPE, SIG_IGN);

    CLI::App app("Eagre: streams of ordered shards, at the speed of the hardware.", "eagre");
    app.set_version_flag("--version", "eagre 0.1.0");
    app.require_subcommand(1);
    app.get_formatter()->column_width(30);
    app.footer(
        "Examples:\n"
        "  eagre doctor                                    is this machine set up for it?\n"
        "  eagre up                                        start an appliance here\n"
        "  eagre stream create quotes --shards 4           make a stream\n"
        "  eagre put quotes --key-column 6 quotes.csv      feed it\n"
        "  eagre tail quotes --from trim_horizon --count 5 look at it\n"
        "  eagre bench --rate 50000 --seconds 10           measure it\n"
        "  eagre top                                       watch it\n"
        "  eagre verify DIR                                check what a stopped one has on disk\n"
        "'eagre COMMAND --help' says more, with examples.");

    int status = 0;
    eagre::cli::add_up(app, status);
    eagre::cli::add_stream(app, status);
    eagre::cli::add_rebalance(app, status);
    eagre::cli::add_put(app, status);
    eagre::cli::add_tail(app, status);
    eagre::cli::add_bench(app, status);
    eagre::cli::add_stats(app, status);
    eagre::cli::add_top(app, status);
    eagre::cli::add_doctor(app, status);
    eagre::cli::add_dump(app, status);
    eagre::cli::add_verify(app, status);
    eagre::cli::add_clock(app, status);
    eagre::cli::add_key(app, status);
    eagre::cli::add_group(app, status);
    eagre::cli::add_feed(app, status);
    eagre::cli::add_session(app, status);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const std::exception& error) {
        fmt::print(stderr, "eagre: {}\n", error.what());
        return 1;
    }
    return status;
}
