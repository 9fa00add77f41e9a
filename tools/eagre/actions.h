#pragma once
// Commands that have commands of their own (`eagre stream create`, `eagre key list`): each action
// takes the same options, --data and --json among them, and throws when it fails.

#include <memory>

#include <CLI/CLI.hpp>

namespace eagre::cli {

/// `Options` has a Target `target` and a bool `json`.
template <class Options>
class ActionAdder {
  public:
    /// `command` and `status` outlive the parsing.
    ActionAdder(CLI::App& command, std::shared_ptr<Options> options, int& status)
        : command_(command), options_(std::move(options)), status_(status) {}

    /// One more action; what it takes besides is the caller's to add.
    CLI::App* operator()(const char* name, const char* what,
                         void (*action)(const Options&)) const {
        CLI::App* sub = command_.add_subcommand(name, what);
        options_->target.add_data_option(*sub);
        sub->add_flag("--json", options_->json, "Print one JSON object");
        sub->callback([options = options_, action, &status = status_] {
            action(*options);
            status = 0;
        });
        return sub;
    }

  private:
    CLI::App& command_;
    std::shared_ptr<Options> options_;
    int& status_;
};

}  // namespace eagre::cli
