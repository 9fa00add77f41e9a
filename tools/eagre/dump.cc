// `eagre dump`: what Eagre has written, in readable form.
#include <memory>

#include "tools/eagre/commands.h"
#include "tools/eagre/inspect/dump.h"

namespace eagre::cli {
namespace {

struct DumpArguments {
    std::vector<std::string> paths;
    inspect::DumpOptions options;
};

}  // namespace

void add_dump(CLI::App& app, int& status) {
    CLI::App* command =
        app.add_subcommand("dump", "Show directories, segments and captured frames as text");
    auto arguments = std::make_shared<DumpArguments>();
    command
        ->add_option("path", arguments->paths,
                     "Data directory, journal directory, segment, catalogue, eagre.box, or frames "
                     "as captured")
        ->required();
    command->add_flag("--records", arguments->options.records,
                      "Print every record: key and data, too");
    command->add_flag("--summary", arguments->options.summary,
                      "Headers, ends, trailers and damage only");
    command->add_option("--shard", arguments->options.shard, "Only what belongs to this shard");
    command->add_option("--data-bytes", arguments->options.data_bytes,
                        "Bytes of each record's data shown [64]");
    command->footer(
        "One line a structure: its offset, what it is, what it says. Behind damage it goes on and "
        "says where\n"
        "(DAMAGED); whole runs between damage are shown as salvaged. Works on a running appliance, "
        "too: then\n"
        "what is being written may look torn. Frames: the bytes of one direction of a connection, "
        "one frame\n"
        "behind the other.\n\n"
        "Exit status: 0 all was whole, 1 something was damaged.\n\n"
        "Examples:\n"
        "  eagre dump /var/lib/eagre --summary\n"
        "  eagre dump /var/lib/eagre/journal-0000/segment-000001.eagre --shard 3 --records\n"
        "  eagre dump captured.bin");
    command->callback([arguments, &status] {
        status = 0;
        for (const std::string& path : arguments->paths) {
            if (!inspect::dump_path(path, arguments->options, stdout)) status = 1;
        }
    });
}

}  // namespace eagre::cli
