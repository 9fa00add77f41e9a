// Which block and network interrupts come in on Eagre's cores.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/eagre/doctor/checks.h"

namespace eagre::doctor {
namespace {

struct Interrupt {
    std::string number;
    std::string action;
    uint64_t count_total = 0;
};

/// "36:  0  6935144  PCI-MSIX-0000:00:02.0  1-edge  virtio1-req.0"; nothing for lines that are not
/// of a device.
std::optional<Interrupt> parse_line(const std::string& line) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return std::nullopt;
    Interrupt interrupt;
    interrupt.number = line.substr(0, colon);
    interrupt.number.erase(0, interrupt.number.find_first_not_of(' '));
    if (interrupt.number.empty() || std::isdigit(static_cast<unsigned char>(interrupt.number[0])) == 0)
        return std::nullopt;
    const size_t space = line.find_last_of(' ');
    if (space == std::string::npos || space < colon) return std::nullopt;
    interrupt.action = line.substr(space + 1);
    size_t at = colon + 1;
    while (at < line.size()) {
        at = line.find_first_not_of(' ', at);
        if (at == std::string::npos) break;
        const size_t end = line.find(' ', at);
        const std::string word = line.substr(at, end - at);
        if (!std::all_of(word.begin(), word.end(),
                         [](unsigned char c) { return std::isdigit(c) != 0; }))
            break;
        interrupt.count_total += std::stoull(word);
        if (end == std::string::npos) break;
        at = end;
    }
    return interrupt;
}

bool names(const std::string& action, const std::string& device) {
    return action.starts_with(device) &&
           (action.size() == device.size() ||
            std::isalnum(static_cast<unsigned char>(action[device.size()])) == 0);
}

/// "block", "network", or empty for what Eagre's way does not lead through.
std::string kind_of(const MachineView& view, const std::string& action) {
    static constexpr const char* kDrivers[][2] = {{"virtio_blk", "block"}, {"virtio_net", "network"}};
    for (const auto& [driver, kind] : kDrivers) {
        for (const std::string& device : view.list(std::string("/sys/bus/virtio/drivers/") + driver)) {
            // The configuration interrupt never fires under load.
            if (names(action, device) && !action.ends_with("-config")) return kind;
        }
    }
    if (action.starts_with("nvme") || action.starts_with("ahci") || action.starts_with("megasas") ||
        action.starts_with("mpt"))
        return "block";
    for (const std::string& device : view.list("/sys/class/net")) {
        if (device != "lo" && names(action, device)) return "network";
    }
    return action.starts_with("mlx") || action.starts_with("ena-") ? "network" : "";
}

std::vector<uint32_t> cpus_of(const MachineView& view, const std::string& number) {
    for (const char* file : {"effective_affinity_list", "smp_affinity_list"}) {
        const auto text = view.read(fmt::format("/proc/irq/{}/{}", number, file));
        if (!text || text->empty()) continue;
        if (auto cpus = parse_cpu_list(*text)) return *cpus;
    }
    return {};
}

}  // namespace

Checks interrupt_checks(const MachineView& view, const std::vector<uint32_t>& cores) {
    const std::vector<uint32_t> others = other_cores(view, cores);
    Checks checks;
    for (const char* kind : {"block", "network"}) {
        Check check{"interrupts", kind, Grade::kGood, "", ""};
        std::vector<std::string> here;
        std::string numbers;
        uint64_t all = 0;
        for (const std::string& line : lines_of(view.read("/proc/interrupts").value_or(""))) {
            const auto interrupt = parse_line(line);
            if (!interrupt || kind_of(view, interrupt->action) != kind) continue;
            ++all;
            const auto cpus = cpus_of(view, interrupt->number);
            const bool on_ours = std::any_of(cpus.begin(), cpus.end(), [&](uint32_t cpu) {
                return std::find(cores.begin(), cores.end(), cpu) != cores.end();
            });
            if (!on_ours) continue;
            here.push_back(fmt::format("{} ({})", interrupt->action, interrupt->number));
            numbers += (numbers.empty() ? "" : " ") + interrupt->number;
        }
        check.value = all == 0 ? "none found"
                      : here.empty()
                          ? fmt::format("all {} away from CPU {}", all, cpu_list_text(cores))
                          : fmt::format("{} of {} on CPU {}: {}", here.size(), all,
                                        cpu_list_text(cores), fmt::join(here, ", "));
        if (!here.empty()) {
            check.grade = Grade::kWarn;
            check.mend =
                others.empty()
                    ? "there is no other core to move them to"
                    : fmt::format("for i in {}; do echo {} | sudo tee "
                                  "/proc/irq/$i/smp_affinity_list; done (and stop irqbalance)",
                                  numbers, cpu_list_text(others));
        }
        checks.push_back(std::move(check));
    }
    return checks;
}

}  // namespace eagre::doctor
