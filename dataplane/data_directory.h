#pragma once
// The data directory as a whole: whose it is, how many journals it has, who uses it now.
//
//   eagre.box      format version, box id, segment size, which journals there are and in which directory each lies, which
//                  further directories there are: a few lines of text, always replaced as a whole
//   eagred.lock    held by the eagred that serves this directory
//   journal-0000/  one journal, see dataplane/journal/FORMAT.md; made before eagre.box names it, so that one that is absent is
//                  missing
//   eagred.sock    control's way in; control.sock, catalog.sqlite: eagre-control's; stats.shm: statistics; ports
//   master.key     wire/identity/key_file.h; keys.sealed: the keys this box honours, sealed under it
//   eagred.map     the last known map of shards, for those whose journal is missing: see box_map.h
//
// Further data directories (directory_set.h) hold journals only, beside eagre.directory, which says whose they are.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/io/files.h"
#include "wire/base/limits.h"
#include "wire/base/result.h"

namespace eagre {

inline constexpr uint32_t kDirectoryFormat = 1;
inline constexpr std::string_view kBoxFile = "eagre.box";
inline constexpr std::string_view kLockFile = "eagred.lock";

inline constexpr uint32_t kFurtherDirectoryCountMax = kBoxDirectoryCountMax - 1;

/// A data directory beside the main one: known by its id, wherever it is mounted.
struct FurtherDirectory {
    uint64_t id = 0;
    std::string path = {};  // Where it was when last seen.
};

struct BoxIdentity {
    uint64_t id_high = 0;
    uint64_t id_low = 0;
    uint32_t journal_count = 0;
    uint64_t segment_bytes = 0;
    bool fresh = false;                              // Made by this call.
    std::vector<FurtherDirectory> further = {};      // Directory 1, 2, ... of the box; 0 is the main one.
    std::vector<uint32_t> journal_directory = {};    // By journal id: the directory that it lies in.
};

/// Takes the lock, then reads the identity, or makes one (with `journal_count` journals of `segment_bytes` segments and an id
/// drawn from `seed`) when the directory is empty.
/// Errors: kLocked (detail = pid), kNewerFormat (detail = its version), kNotADirectory (something else lives here),
/// kCorruptDirectory, kIo.
Result<BoxIdentity> open_data_directory(io::Files& files, uint32_t journal_count, uint64_t segment_bytes, uint64_t seed);

/// What eagre.box says. Errors: kNewerFormat (detail = its version), kCorruptDirectory.
Result<BoxIdentity> parse_box_identity(std::string_view text);

/// The text of eagre.box. A box with one directory has the lines it had in the first release; a build that does not know
/// further directories takes their journals for missing, which they are to it.
std::string box_identity_text(const BoxIdentity& identity);

/// "journal-0007".
std::string journal_directory_name(uint32_t journal);

/// Makes the directories of journals [first, first + count) below `files` and their names durable. Errors: kCorruptDirectory
/// (detail = journal: there is one with something in it), kDiskFull, kIo.
Status make_journal_directories(io::Files& files, uint32_t first, uint32_t count);

/// True for an empty directory but for what an eagred that died on its first start may have left.
bool is_unused_directory(io::Files& files, const std::vector<std::string>& names);

}  // namespace eagre
