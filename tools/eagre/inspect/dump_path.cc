// What a path is, and what to do with it.
#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

#include "dataplane/data_directory.h"
#include "dataplane/journal/segment_order.h"
#include "tools/eagre/inspect/catalogue.h"
#include "tools/eagre/inspect/directory_check.h"
#include "tools/eagre/inspect/directory_lock.h"
#include "tools/eagre/inspect/dump.h"

namespace eagre::inspect {
namespace {

constexpr uint64_t kMagicBytes = 16;
constexpr uint64_t kBoxFileBytesMax = 1 << 20U;  // Many journals, each with a line.

bool dump_box(const std::string& path, std::FILE* out) {
    const auto bytes = InputFile(path).read_all(kBoxFileBytesMax);
    const auto box =
        parse_box_identity({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!box) {
        fmt::print(out, "identity {}\n  DAMAGED: {}: \"{}\"\n", path, errc_name(box.error().code),
                   escaped(bytes, 256));
        return false;
    }
    fmt::print(out, "identity {}\n  box {:016x}{:016x}, {} journals, segments of {} bytes\n", path,
               box->id_high, box->id_low, box->journal_count, box->segment_bytes);
    for (size_t i = 0; i < box->further.size(); ++i) {
        fmt::print(out, "  directory {} {:016x} last seen at {}\n", i + 1, box->further[i].id,
                   box->further[i].path);
    }
    return true;
}

bool dump_journal(const std::string& path, const DumpOptions& options, std::FILE* out) {
    std::vector<std::string> strangers;
    bool good = true;
    fmt::print(out, "journal {}\n", path);
    for (const std::string& slot : slots_of(path, strangers)) {
        try {
            good = dump_segment(slot, options, out) && good;
        } catch (const std::runtime_error& error) {
            fmt::print(out, "segment {}\n  DAMAGED: {}\n", slot, error.what());
            good = false;
        }
    }
    for (const std::string& stranger : strangers)
        fmt::print(out, "other {}: not a segment\n", stranger);
    return good;
}

bool dump_directory(const std::string& path, const DumpOptions& options, std::FILE* out) {
    if (directory_in_use(path))
        fmt::print(out, "{} is in use: what is being written now may look torn\n", path);
    bool good = dump_box(path + "/" + std::string(kBoxFile), out);
    std::vector<std::string> journals;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
        if (entry.is_directory() && entry.path().filename().string().starts_with("journal-"))
            journals.push_back(entry.path().string());
    }
    const auto bytes = InputFile(path + "/" + std::string(kBoxFile)).read_all(kBoxFileBytesMax);
    const auto box =
        parse_box_identity({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    for (uint32_t id = 0; box && id < box->journal_count; ++id) {
        const std::string place = journal_path(*box, path, id);
        if (box->journal_directory[id] != 0 && std::filesystem::is_directory(place))
            journals.push_back(place);
    }
    std::sort(journals.begin(), journals.end());
    for (const std::string& each : journals) good = dump_journal(each, options, out) && good;
    const std::string catalogue = path + "/" + kCatalogueFile;
    if (std::filesystem::exists(catalogue)) good = dump_catalogue(catalogue, out) && good;
    return good;
}

bool dump_file(const std::string& path, const DumpOptions& options, std::FILE* out) {
    const std::string name = std::filesystem::path(path).filename().string();
    const auto head = InputFile(path).read_all(kMagicBytes);
    const std::string_view magic(reinterpret_cast<const char*>(head.data()), head.size());
    uint32_t index = 0;
    if (magic.starts_with("AGRESEG1") || journal::parse_slot_name(name.c_str(), index))
        return dump_segment(path, options, out);
    if (magic.starts_with("SQLite format 3") || name == kCatalogueFile)
        return dump_catalogue(path, out);
    if (name == kBoxFile) return dump_box(path, out);
    uint64_t frame_count = 0;
    const bool good = dump_frames(path, options, out, frame_count);
    if (frame_count == 0)
        throw std::runtime_error(fmt::format(
            "{}: no segment, catalogue or identity, and no frame of Eagre's in it", path));
    return good;
}

}  // namespace

bool dump_path(const std::string& path, const DumpOptions& options, std::FILE* out) {
    if (!std::filesystem::is_directory(path)) return dump_file(path, options, out);
    if (is_data_directory(path)) return dump_directory(path, options, out);
    std::vector<std::string> strangers;
    if (slots_of(path, strangers).empty())
        throw std::runtime_error(
            fmt::format("{}: neither a data directory nor a journal of one", path));
    return dump_journal(path, options, out);
}

}  // namespace eagre::inspect
