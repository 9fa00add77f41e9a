#include "dataplane/data_directory.h"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

#include "wire/base/prng.h"

namespace eagre {
namespace {

// Files that may lie in a directory before its first eagred has made it a box.
bool may_precede(std::string_view name) {
    return name == kLockFile || name == "lost+found" || name.starts_with("control") || name.starts_with("catalog") || name.starts_with("master.key") ||
           name.ends_with(".log") || name.ends_with(".tmp") || name == "eagred.sock" || name == "stats.shm" || name == "ports";
}

// A first start that died early leaves journals without a byte in them: nobody's, and ours to go on with.
bool is_empty_journal(io::Files& files, std::string_view name) {
    if (!name.starts_with("journal-")) return false;
    const auto names = files.list(name);
    return names && names->empty();
}

bool value_of(std::string_view text, std::string_view key, int base, uint64_t& value) {
    const size_t at = text.find(key);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = text.substr(at + key.size());
    return std::from_chars(rest.data(), rest.data() + rest.size(), value, base).ec == std::errc();
}

/// The next line of `text`, taken off it.
std::string_view take_line(std::string_view& text) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    return line;
}

/// "WORD NUMBER REST": takes the word and the number off `line`.
bool take_number(std::string_view& line, std::string_view word, int base, uint64_t& value) {
    if (!line.starts_with(word)) return false;
    const char* first = line.data() + word.size();
    const auto [end, code] = std::from_chars(first, line.data() + line.size(), value, base);
    line = line.substr(static_cast<size_t>(end - line.data()));
    return code == std::errc();
}

/// The lines of further directories and of the journals in them:
///   directory 1 4f1d2c3b4a596877 /mnt/fast2/eagre
///   journal 2 directory 1
bool parse_places(std::string_view text, BoxIdentity& identity) {
    identity.journal_directory.assign(identity.journal_count, 0);
    while (!text.empty()) {
        std::string_view line = take_line(text);
        uint64_t number = 0;
        uint64_t id = 0;
        if (line.starts_with("directory ")) {
            if (!take_number(line, "directory ", 10, number) || number != identity.further.size() + 1) return false;
            if (number > kFurtherDirectoryCountMax) return false;
            if (!take_number(line, " ", 16, id) || !line.starts_with(" ")) return false;
            identity.further.push_back({id, std::string(line.substr(1))});
        } else if (line.starts_with("journal ")) {
            uint64_t directory = 0;
            if (!take_number(line, "journal ", 10, number) || !take_number(line, " directory ", 10, directory)) return false;
            if (number >= identity.journal_count || directory > identity.further.size()) return false;
            identity.journal_directory[number] = static_cast<uint32_t>(directory);
        }
    }
    return true;
}

}  // namespace

Result<BoxIdentity> parse_box_identity(std::string_view text) {
    uint64_t format = 0;
    if (!value_of(text, "format ", 10, format)) return Errc::kCorruptDirectory;
    if (format > kDirectoryFormat) return error_of(Errc::kNewerFormat, format);
    BoxIdentity identity;
    uint64_t journals = 0;
    if (!value_of(text, "box-high ", 16, identity.id_high) || !value_of(text, "box-low ", 16, identity.id_low) ||
        !value_of(text, "journals ", 10, journals) || !value_of(text, "segment-bytes ", 10, identity.segment_bytes) ||
        journals == 0 || journals > kBoxJournalCountMax) {
        return Errc::kCorruptDirectory;
    }
    identity.journal_count = static_cast<uint32_t>(journals);
    if (!parse_places(text, identity)) return Errc::kCorruptDirectory;
    return identity;
}

std::string box_identity_text(const BoxIdentity& identity) {
    char head[256];
    const int length = std::snprintf(head, sizeof(head),
                                     "eagre data directory\nformat %u\nbox-high %016" PRIx64 "\nbox-low %016" PRIx64
                                     "\njournals %u\nsegment-bytes %" PRIu64 "\n",
                                     kDirectoryFormat, identity.id_high, identity.id_low, identity.journal_count,
                                     identity.segment_bytes);
    std::string text(head, static_cast<size_t>(length));
    for (size_t i = 0; i < identity.further.size(); ++i) {
        char line[64];
        std::snprintf(line, sizeof(line), "directory %zu %016" PRIx64 " ", i + 1, identity.further[i].id);
        text += line + identity.further[i].path + "\n";
    }
    for (size_t journal = 0; journal < identity.journal_directory.size(); ++journal) {
        const uint32_t directory = identity.journal_directory[journal];
        if (directory != 0) text += "journal " + std::to_string(journal) + " directory " + std::to_string(directory) + "\n";
    }
    return text;
}

std::string journal_directory_name(uint32_t journal) {
    char name[32];
    std::snprintf(name, sizeof(name), "journal-%04u", journal);
    return name;
}

bool is_unused_directory(io::Files& files, const std::vector<std::string>& names) {
    return std::all_of(names.begin(), names.end(),
                       [&files](const auto& name) { return may_precede(name) || is_empty_journal(files, name); });
}

// Before the identity names them: from then on a journal that is absent is one that is missing.
Status make_journal_directories(io::Files& files, uint32_t first, uint32_t count) {
    for (uint32_t id = first; id < first + count; ++id) {
        const std::string name = journal_directory_name(id);
        if (files.exists(name) && !is_empty_journal(files, name)) return error_of(Errc::kCorruptDirectory, id);
        if (const Status made = files.make_directory(name); !made) return made;
    }
    return files.sync_directory("");
}

Result<BoxIdentity> open_data_directory(io::Files& files, uint32_t journal_count, uint64_t segment_bytes, uint64_t seed) {
    if (const Status locked = files.lock(kLockFile); !locked) return locked.error();
    if (files.exists(kBoxFile)) {
        const auto bytes = files.read_all(kBoxFile);
        if (!bytes) return bytes.error();
        return parse_box_identity({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    }
    const auto names = files.list("");
    if (!names) return names.error();
    if (!is_unused_directory(files, *names)) return Errc::kNotADirectory;
    if (const Status made = make_journal_directories(files, 0, journal_count); !made) return made.error();
    Prng prng(seed);
    BoxIdentity identity{prng.next(), prng.next(), journal_count, segment_bytes, true};
    identity.journal_directory.assign(journal_count, 0);
    const std::string text = box_identity_text(identity);
    const Status written = files.replace(kBoxFile, std::as_bytes(std::span(text.data(), text.size())));
    if (!written) return written.error();
    return identity;
}

}  // namespace eagre
