#include "tools/eagre/doctor/machine_view.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

namespace eagre::doctor {
namespace {

constexpr uint32_t kCpuMax = 8192;

bool parse_number(std::string_view text, uint32_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && number < kCpuMax;
}

}  // namespace

std::optional<std::string> MachineView::read(const std::string& path) const {
    std::ifstream file(root_ + path);
    if (!file) return std::nullopt;
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (file.bad()) return std::nullopt;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

std::vector<std::string> MachineView::list(const std::string& path) const {
    std::vector<std::string> names;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator(root_ + path, error);
         !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
        names.push_back(entry->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

bool MachineView::exists(const std::string& path) const {
    std::error_code error;
    return std::filesystem::exists(root_ + path, error);
}

std::optional<std::vector<uint32_t>> parse_cpu_list(std::string_view text) {
    std::vector<uint32_t> cpus;
    while (!text.empty()) {
        const size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
        const size_t dash = part.find('-');
        uint32_t first = 0;
        if (!parse_number(part.substr(0, dash), first)) return std::nullopt;
        uint32_t last = first;
        if (dash != std::string_view::npos && !parse_number(part.substr(dash + 1), last))
            return std::nullopt;
        if (last < first) return std::nullopt;
        for (uint32_t cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
    }
    return cpus;
}

std::string cpu_list_text(const std::vector<uint32_t>& cpus) {
    std::string text;
    for (size_t i = 0; i < cpus.size();) {
        size_t end = i + 1;
        while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
        if (!text.empty()) text += ',';
        text += end - i == 1 ? fmt::format("{}", cpus[i])
                             : fmt::format("{}-{}", cpus[i], cpus[end - 1]);
        i = end;
    }
    return text;
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        lines.emplace_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    }
    return lines;
}

std::string chosen_of(std::string_view text) {
    const size_t open = text.find('[');
    const size_t close = text.find(']');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
        return std::string(text);
    return std::string(text.substr(open + 1, close - open - 1));
}

}  // namespace eagre::doctor
