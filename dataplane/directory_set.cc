#include "dataplane/directory_set.h"

#include <algorithm>
#include <charconv>
#include <cinttypes>
#include <cstdio>

#include "wire/base/assert.h"
#include "wire/base/crash_point.h"
#include "wire/base/prng.h"

namespace eagre {
namespace {

CrashPoint crash_identified("directory-identified", "a new data directory says whose it is, the box does not name it");
CrashPoint crash_journals_made("journals-made", "new journals have their directories, the box does not name them");
CrashPoint crash_named("directories-named", "the box names all directories and journals, nothing was recovered");

struct FurtherIdentity {
    uint64_t box_high = 0;
    uint64_t box_low = 0;
    uint64_t id = 0;
};

bool number_behind(std::string_view text, std::string_view key, int base, uint64_t& value) {
    const size_t at = text.find(key);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = text.substr(at + key.size());
    return std::from_chars(rest.data(), rest.data() + rest.size(), value, base).ec == std::errc();
}

Result<FurtherIdentity> read_further(io::Files& files) {
    const auto bytes = files.read_all(kFurtherFile);
    if (!bytes) return bytes.error();
    const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    uint64_t format = 0;
    FurtherIdentity identity;
    if (!number_behind(text, "\nformat ", 10, format)) return Errc::kCorruptDirectory;
    if (format > kDirectoryFormat) return error_of(Errc::kNewerFormat, format);
    const bool whole = number_behind(text, "\nbox-high ", 16, identity.box_high) &&
                       number_behind(text, "\nbox-low ", 16, identity.box_low) && number_behind(text, "\nid ", 16, identity.id);
    if (!whole || identity.id == 0) return Errc::kCorruptDirectory;
    return identity;
}

Status write_further(io::Files& files, const FurtherIdentity& identity) {
    char text[256];
    const int length = std::snprintf(text, sizeof(text),
                                     "eagre further data directory\nformat %u\nbox-high %016" PRIx64 "\nbox-low %016" PRIx64
                                     "\nid %016" PRIx64 "\n",
                                     kDirectoryFormat, identity.box_high, identity.box_low, identity.id);
    return files.replace(kFurtherFile, std::as_bytes(std::span(text, static_cast<size_t>(length))));
}

class Opening {
  public:
    Opening(io::Files& main, const OpenRoot& open_root, const DirectoryRequest& request, DirectoryFault& fault)
        : main_(main), open_root_(open_root), request_(request), fault_(fault), prng_(request.seed ^ 0x6469726563746f72ULL) {}

    Result<DirectorySet> run() {
        const auto identity = open_data_directory(main_, request_.core_count, request_.segment_bytes, request_.seed);
        if (!identity) return fail(request_.data, identity.error());
        set_.identity = *identity;
        set_.directories.push_back({request_.data, &main_});
        for (const FurtherDirectory& known : identity->further) set_.directories.push_back({known.path, nullptr});
        for (const std::string& path : request_.also) {
            if (const Status taken = take_named(path); !taken) return fail(path, taken.error());
        }
        for (uint32_t number = 1; number <= identity->further.size(); ++number) {
            if (set_.directories[number].files != nullptr) continue;
            if (const Status sought = look_for(number); !sought) return fail(set_.directories[number].path, sought.error());
        }
        if (const Status grown = add_journals(); !grown) return fault_.error;
        if (changed_) {
            crash_journals_made.reach();
            const std::string text = box_identity_text(set_.identity);
            const Status written = main_.replace(kBoxFile, std::as_bytes(std::span(text.data(), text.size())));
            if (!written) return fail(request_.data, written.error());
            crash_named.reach();
        }
        see_what_is_there();
        return std::move(set_);
    }

  private:
    Error fail(const std::string& path, Error error) {
        fault_ = {error, path};
        return error;
    }

    bool is_ours(const FurtherIdentity& identity) const {
        return identity.box_high == set_.identity.id_high && identity.box_low == set_.identity.id_low;
    }

    /// The number of the directory with this id; 0: not known.
    uint32_t number_of(uint64_t id) const {
        const auto& further = set_.identity.further;
        const auto at = std::find_if(further.begin(), further.end(), [id](const auto& each) { return each.id == id; });
        return at == further.end() ? 0 : static_cast<uint32_t>(at - further.begin()) + 1;
    }

    /// True when a directory that this box knows was last seen at `path` (and has not turned up elsewhere).
    bool is_place_of_known(const std::string& path) const {
        return std::any_of(set_.directories.begin() + 1, set_.directories.end(),
                           [&path](const auto& each) { return each.files == nullptr && each.path == path; });
    }

    /// A directory that the operator has named.
    Status take_named(const std::string& path) {
        // Where a known one was, an empty directory is a mount point with nothing mounted, and no new directory.
        const bool expected = is_place_of_known(path);
        const auto opened = open_root_(path, !expected);
        if (!opened) return expected ? Status() : opened.error();
        io::Files& files = **opened;
        if (files.exists(kBoxFile)) return Errc::kForeignBox;  // The main directory of a box.
        if (!files.exists(kFurtherFile)) {
            if (expected) return {};
            return add_new(path, files);
        }
        const auto identity = read_further(files);
        if (!identity) return identity.error();
        if (!is_ours(*identity)) return Errc::kForeignBox;
        const uint32_t number = number_of(identity->id);
        if (number == 0) return add_new(path, files);
        OpenedDirectory& place = set_.directories[number];
        if (place.files != nullptr) return Errc::kDirectoryTwice;
        if (const Status locked = files.lock(kLockFile); !locked) return locked;
        if (place.path != path) {
            note("directory " + std::to_string(number) + " was at " + place.path + " and is now at " + path);
            set_.identity.further[number - 1].path = path;
            changed_ = true;
        }
        place = {path, &files};
        return {};
    }

    /// One that nobody has used, or that we began to make and died over.
    Status add_new(const std::string& path, io::Files& files) {
        if (set_.identity.further.size() == kFurtherDirectoryCountMax) {
            return error_of(Errc::kLimitExceeded, kFurtherDirectoryCountMax);
        }
        if (const Status locked = files.lock(kLockFile); !locked) return locked;
        auto names = files.list("");
        if (!names) return names.error();
        const bool begun = std::erase(*names, kFurtherFile) != 0;
        if (begun) {
            const auto still = read_further(files);  // Now that nobody else can write it.
            if (!still || !is_ours(*still)) return still ? Error(error_of(Errc::kForeignBox)) : still.error();
        }
        if (!is_unused_directory(files, *names)) return begun ? Errc::kForeignBox : Errc::kNotADirectory;
        const FurtherIdentity identity{set_.identity.id_high, set_.identity.id_low, prng_.next() | 1U};
        if (const Status written = write_further(files, identity); !written) return written;
        crash_identified.reach();
        set_.identity.further.push_back({identity.id, path});
        set_.directories.push_back({path, &files});
        note("directory " + std::to_string(set_.identity.further.size()) + " is new: " + path);
        changed_ = true;
        return {};
    }

    /// One that we know and that nobody has named, or that was not where it was named.
    Status look_for(uint32_t number) {
        OpenedDirectory& place = set_.directories[number];
        const auto missing = [&](const char* why) {
            note("directory " + std::to_string(number) + " is missing (" + place.path + ": " + why +
                 "): its shards are unavailable until it is back");
            return Status();
        };
        const auto opened = open_root_(place.path, false);
        if (!opened) return missing("not there");
        io::Files& files = **opened;
        if (!files.exists(kFurtherFile)) return missing("not mounted?");
        const auto identity = read_further(files);
        if (!identity) return identity.error();
        if (!is_ours(*identity) || identity->id != set_.identity.further[number - 1].id) return missing("another directory is there");
        if (const Status locked = files.lock(kLockFile); !locked) return locked;
        place.files = &files;
        return {};
    }

    /// A journal for every core in every directory that is there.
    Status add_journals() {
        BoxIdentity& identity = set_.identity;
        for (uint32_t number = 0; number < set_.directories.size(); ++number) {
            const OpenedDirectory& place = set_.directories[number];
            if (place.files == nullptr) continue;
            const auto& places = identity.journal_directory;
            const auto has = static_cast<uint32_t>(std::count(places.begin(), places.end(), number));
            uint32_t more = request_.core_count - std::min(request_.core_count, has);
            // The first journal of a directory is what it is there for.
            const uint32_t room = kJournalGrowthMax - std::min(kJournalGrowthMax, identity.journal_count);
            more = std::min(more, std::max(room, has == 0 ? 1U : 0U));
            if (identity.journal_count + more > kBoxJournalCountMax) more = kBoxJournalCountMax - identity.journal_count;
            if (more == 0) continue;
            const Status made = make_journal_directories(*place.files, identity.journal_count, more);
            if (!made && made.error().code == Errc::kDiskFull && has > 0) {
                note("no room for more journals in " + place.path + ": the cores that lack one serve no shards there");
                continue;
            }
            if (!made) {
                fail(place.path, made.error());
                return made;
            }
            identity.journal_count += more;
            identity.journal_directory.resize(identity.journal_count, number);
            changed_ = true;
        }
        return {};
    }

    void see_what_is_there() {
        const BoxIdentity& identity = set_.identity;
        EAGRE_ASSERT_EQ(identity.journal_directory.size(), identity.journal_count);
        for (uint32_t id = 0; id < identity.journal_count; ++id) {
            const OpenedDirectory& place = set_.directories[identity.journal_directory[id]];
            const std::string name = journal_directory_name(id);
            const bool there = place.files != nullptr && place.files->exists(name);
            if (!there && place.files != nullptr) {
                note(name + " is missing in " + place.path + ": its shards are unavailable until it is back");
            }
            set_.journal_available.push_back(there);
        }
    }

    void note(std::string text) { set_.notes.push_back(std::move(text)); }

    io::Files& main_;
    const OpenRoot& open_root_;
    const DirectoryRequest& request_;
    DirectoryFault& fault_;
    Prng prng_;
    DirectorySet set_;
    bool changed_ = false;  // eagre.box must say more than it does.
};

bool lies_within(const std::string& inner, const std::string& outer) {
    return inner.size() > outer.size() && inner.starts_with(outer) && (outer.back() == '/' || inner[outer.size()] == '/');
}

}  // namespace

Result<DirectorySet> open_directories(io::Files& main, const OpenRoot& open_root, const DirectoryRequest& request,
                                      DirectoryFault& fault) {
    return Opening(main, open_root, request, fault).run();
}

std::string check_paths(std::span<const std::string> paths) {
    for (size_t i = 0; i < paths.size(); ++i) {
        if (paths[i].empty() || paths[i].find('\n') != std::string::npos) return "a data directory can't be named '" + paths[i] + "'";
        for (size_t j = 0; j < i; ++j) {
            if (paths[i] == paths[j]) return paths[i] + " is named twice: name each data directory once";
            const bool inner = lies_within(paths[i], paths[j]);
            if (inner || lies_within(paths[j], paths[i])) {
                return paths[inner ? i : j] + " lies inside " + paths[inner ? j : i] +
                       ": a further data directory needs a place of its own, as a rule on a device of its own";
            }
        }
    }
    return {};
}

std::vector<CoreIndex> assign_cores(std::span<const uint32_t> journal_directory, uint32_t core_count) {
    EAGRE_ASSERT_GE(core_count, 1U);
    std::vector<CoreIndex> cores;
    std::vector<uint32_t> next;  // By directory.
    for (const uint32_t directory : journal_directory) {
        if (next.size() <= directory) next.resize(directory + 1, 0);
        cores.push_back(CoreIndex{(next[directory]++ + directory) % core_count});
    }
    return cores;
}

}  // namespace eagre
