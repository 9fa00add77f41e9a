#pragma once
// The data directory as a whole: whose it is, how many journals it has, who uses it now.
//
//   eagre.box      format version, box id, journal count, segment size: a few lines of text, written once
//   eagred.lock    held by the eagred that serves this directory
//   journal-0000/  one journal, see dataplane/journal/FORMAT.md; made before eagre.box, so that one that is absent is missing
//   eagred.sock    control's way in; control.sock, catalog.sqlite: eagre-control's; stats.shm: statistics; ports
//   master.key     wire/identity/key_file.h; keys.sealed: the keys this box honours, sealed under it

#include <cstdint>
#include <string_view>

#include "dataplane/io/files.h"
#include "wire/base/result.h"

namespace eagre {

inline constexpr uint32_t kDirectoryFormat = 1;
inline constexpr std::string_view kBoxFile = "eagre.box";
inline constexpr std::string_view kLockFile = "eagred.lock";

struct BoxIdentity {
    uint64_t id_high = 0;
    uint64_t id_low = 0;
    uint32_t journal_count = 0;
    uint64_t segment_bytes = 0;
    bool fresh = false;  // Made by this call.
};

/// Takes the lock, then reads the identity, or makes one (with `journal_count` journals of `segment_bytes` segments and an id
/// drawn from `seed`) when the directory is empty.
/// Errors: kLocked (detail = pid), kNewerFormat (detail = its version), kNotADirectory (something else lives here),
/// kCorruptDirectory, kIo.
Result<BoxIdentity> open_data_directory(io::Files& files, uint32_t journal_count, uint64_t segment_bytes, uint64_t seed);

/// What eagre.box says. Errors: kNewerFormat (detail = its version), kCorruptDirectory.
Result<BoxIdentity> parse_box_identity(std::string_view text);

}  // namespace eagre
