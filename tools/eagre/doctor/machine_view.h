#pragma once
// /proc and /sys as the checks see them: small text files under a root that tests set up themselves.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace eagre::doctor {

class MachineView {
  public:
    /// `root`: in front of every path; empty for the machine itself.
    explicit MachineView(std::string root = "") : root_(std::move(root)) {}

    /// The file without its last newline; nothing when it can't be read.
    std::optional<std::string> read(const std::string& path) const;
    /// Names in a directory, sorted; empty when there is none.
    std::vector<std::string> list(const std::string& path) const;
    bool exists(const std::string& path) const;

  private:
    std::string root_;
};

/// The kernel's lists of CPUs: "0,2-3" -> {0, 2, 3}. Nothing for text that is none.
std::optional<std::vector<uint32_t>> parse_cpu_list(std::string_view text);
/// {0, 2, 3} -> "0,2-3".
std::string cpu_list_text(const std::vector<uint32_t>& cpus);
std::vector<std::string> lines_of(std::string_view text);
/// The word in brackets: "always [madvise] never" -> "madvise"; all of it when there are none.
std::string chosen_of(std::string_view text);

}  // namespace eagre::doctor
