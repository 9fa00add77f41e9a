#include "dataplane/data_directory.h"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>
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

// Before the identity is written: from then on a journal that is absent is one that is missing.
Status make_journal_directories(io::Files& files, uint32_t journal_count) {
    for (uint32_t id = 0; id < journal_count; ++id) {
        char name[32];
        std::snprintf(name, sizeof(name), "journal-%04u", id);
        if (const Status made = files.make_directory(name); !made) return made;
    }
    return files.sync_directory("");
}

bool value_of(std::string_view text, std::string_view key, int base, uint64_t& value) {
    const size_t at = text.find(key);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = text.substr(at + key.size());
    return std::from_chars(rest.data(), rest.data() + rest.size(), value, base).ec == std::errc();
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
        journals == 0 || journals > 4096) {
        return Errc::kCorruptDirectory;
    }
    identity.journal_count = static_cast<uint32_t>(journals);
    return identity;
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
    const auto is_welcome = [&files](const auto& name) { return may_precede(name) || is_empty_journal(files, name); };
    if (!std::all_of(names->begin(), names->end(), is_welcome)) return Errc::kNotADirectory;
    if (const Status made = make_journal_directories(files, journal_count); !made) return made.error();
    Prng prng(seed);
    BoxIdentity identity{prng.next(), prng.next(), journal_count, segment_bytes, true};
    char text[256];
    const int length = std::snprintf(text, sizeof(text),
                                     "eagre data directory\nformat %u\nbox-high %016" PRIx64 "\nbox-low %016" PRIx64
                                     "\njournals %u\nsegment-bytes %" PRIu64 "\n",
                                     kDirectoryFormat, identity.id_high, identity.id_low, journal_count, segment_bytes);
    const Status written = files.replace(kBoxFile, std::as_bytes(std::span(text, static_cast<size_t>(length))));
    if (!written) return written.error();
    return identity;
}

}  // namespace eagre
