// `eagre rebalance`: open shards go on in other journals, so that all cores and data directories are used evenly.
#include <algorithm>
#include <memory>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tools/eagre/commands.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/target.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Closed and opened together: writers of these shards pause for as long as that takes.
constexpr size_t kMovesPerStepMax = 16;
constexpr uint64_t kBusyNs = 200'000'000;
constexpr uint32_t kBusyCountMax = 50;

struct RebalanceOptions {
    Target target;
    bool dry_run = false;
    bool json = false;
};

using Moves = std::vector<client::ShardMove>;

std::string place_text(const client::BoxPlaces& places, uint32_t id) {
    for (const client::JournalPlace& journal : places.journals) {
        if (journal.id != id) continue;
        for (const client::DirectoryPlace& directory : places.directories) {
            if (directory.number == journal.directory)
                return fmt::format("journal {}, core {}, {}", id, journal.core, directory.path);
        }
    }
    return fmt::format("journal {}", id);
}

void print_plan(const Moves& moves, const client::BoxPlaces& places) {
    if (moves.empty()) {
        fmt::print("nothing to move: open shards are spread evenly\n");
        return;
    }
    Table table({"stream", "shard", "from", "to"});
    for (const client::ShardMove& move : moves) {
        table.add({move.stream, fmt::format("{}", move.shard.value), place_text(places, move.from),
                   place_text(places, move.to)});
    }
    fmt::print("{}{} to move; 'eagre rebalance' does it\n", table.text(), moves.size());
}

Json to_json(const Moves& moves, const client::BoxPlaces& places, size_t moved) {
    Json json = {{"moved", moved}, {"to_move", Json::array()}, {"journals", Json::array()}, {"directories", Json::array()}};
    for (const auto& move : moves) {
        json["to_move"].push_back({{"stream", move.stream},
                                   {"shard", move.shard.value},
                                   {"from", move.from},
                                   {"to", move.to}});
    }
    for (const auto& journal : places.journals) {
        json["journals"].push_back({{"id", journal.id},
                                    {"directory", journal.directory},
                                    {"core", journal.core},
                                    {"available", journal.available}});
    }
    for (const auto& directory : places.directories) {
        json["directories"].push_back(
            {{"number", directory.number}, {"path", directory.path}, {"available", directory.available}});
    }
    return json;
}

Moves plan(client::ControlClient& control) {
    auto moves = control.plan_rebalance();
    if (!moves) refuse("rebalance", control, moves.error());
    return std::move(*moves);
}

/// The first stream's moves, as many as go in one step.
Moves next_step(const Moves& moves) {
    Moves step;
    for (const client::ShardMove& move : moves) {
        if (move.stream == moves.front().stream && step.size() < kMovesPerStepMax)
            step.push_back(move);
    }
    return step;
}

void rebalance(const RebalanceOptions& options) {
    Signals::block();
    const auto control = options.target.connect_control();
    Moves moves = plan(*control);
    size_t moved = 0;
    Progress progress;
    uint32_t busy_count = 0;
    while (!options.dry_run && !moves.empty() && !Signals::wait(0)) {
        const Moves step = next_step(moves);
        const Status done = control->move_shards(step);
        if (done) {
            moved += step.size();
            busy_count = 0;
            progress.show("moving shards", -1, fmt::format("{} moved", moved));
        } else if (done.error().code == Errc::kBusy && ++busy_count <= kBusyCountMax) {
            // Another change of the stream is under way: a moment later it is done, or the plan is
            // another.
            if (Signals::wait(kBusyNs)) break;
        } else {
            progress.clear();
            refuse("rebalance", *control, done.error());
        }
        moves = plan(*control);
    }
    progress.clear();
    if (options.json) {
        fmt::print("{}\n", to_json(moves, control->places(), moved).dump());
    } else if (moved == 0) {
        print_plan(moves, control->places());
    } else {
        fmt::print("moved {} shard{}{}\n", moved, moved == 1 ? "" : "s",
                   moves.empty() ? "" : "; stopped before the end: run it again");
    }
}

}  // namespace

void add_rebalance(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("rebalance", "Spread open shards evenly over cores and data directories");
    auto options = std::make_shared<RebalanceOptions>();
    options->target.add_data_option(*command);
    command->add_flag("--dry-run", options->dry_run, "Say what would be moved, and move nothing");
    command->add_flag("--json", options->json, "Print one JSON object");
    command->footer(
        "After a start with other --cores, or with a data directory more, open shards still lie where they were. A shard is\n"
        "moved by closing it and opening a child with its hash keys elsewhere: what it holds stays where it is and is read\n"
        "first, so the order of each key is kept; writers pause for some milliseconds. May be stopped at any time and run\n"
        "again.\n\nExamples:\n"
        "  eagre rebalance --dry-run\n"
        "  eagre rebalance");
    command->callback([options, &status] {
        rebalance(*options);
        status = 0;
    });
}

}  // namespace eagre::cli
