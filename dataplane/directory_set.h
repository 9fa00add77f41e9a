#pragma once
// The data directories of a box together: the main one (data_directory.h), which knows of all, and further ones, which hold
// journals only. Called once at start, by one thread, before any core exists; the locks it takes last as long as the back ends.
//
//   eagre.directory   in each further directory: format version, box id, id of the directory. Written before eagre.box names it.
//                     eagre further data directory
//                     format 1
//                     box-high 3f0c..  box-low 91aa..  id 4f1d2c3b4a596877   (a line each, 16 hexadecimal digits)
//   eagred.lock       held by the eagred that serves the box
//   journal-0002/     as in the main directory
//
// and eagre.box has a line for each further directory, and for each journal that does not lie in the main one:
//   directory 1 4f1d2c3b4a596877 /mnt/nvme1/eagre
//   journal 2 directory 1
//
// A further directory is known by its id, not by its path: it may be mounted elsewhere tomorrow. Once added it is looked for
// where it was last seen, whether it is named again or not; when it is not there its journals are missing, and everything else
// serves.
//
// Every directory gets a journal for every core, so that any set of cores keeps all directories busy; journals are never given
// up when there are fewer cores, several then live on one (assign_cores).
//
// kill -9 at any instant: what eagre.box does not name yet is empty, and is made anew or taken over by the next start.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/data_directory.h"
#include "dataplane/io/files.h"
#include "wire/base/result.h"
#include "wire/base/types.h"

namespace eagre {

inline constexpr std::string_view kFurtherFile = "eagre.directory";
/// Beyond it a core more or a directory more brings no more journals: each has a window in memory.
inline constexpr uint32_t kJournalGrowthMax = 256;

struct DirectoryRequest {
    std::string data;                // Path of the main directory: for what is said only.
    std::vector<std::string> also;   // Further directories, as absolute paths without links (see check_paths).
    uint32_t core_count = 1;
    uint64_t segment_bytes = 0;      // Of a box that is made now.
    uint64_t seed = 0;
};

struct OpenedDirectory {
    std::string path;              // Where it is, or was when last seen.
    io::Files* files = nullptr;    // Null: missing.
};

struct DirectorySet {
    BoxIdentity identity;
    std::vector<OpenedDirectory> directories;  // By number, 0 the main one.
    std::vector<bool> journal_available;       // By journal id.
    std::vector<std::string> notes;            // What the operator should hear of.
};

/// What kept open_directories from it, and where.
struct DirectoryFault {
    Error error;
    std::string path;
};

/// Opens the root `path`, made (one level) when absent if `create`. Errors: kIo (os_errno ENOENT: not there).
using OpenRoot = std::function<Result<io::Files*>(const std::string& path, bool create)>;

/// Takes the locks, reads who is who, adds what is new: directories of request.also that nobody has used, and journals for
/// cores and directories that have none yet. Errors, with their path in `fault`: those of open_data_directory; kForeignBox (a
/// directory of another box, or one that this box does not know and that is not empty), kDirectoryTwice, kNotADirectory,
/// kLocked, kNewerFormat, kCorruptDirectory, kLimitExceeded (detail = most directories), kIo.
Result<DirectorySet> open_directories(io::Files& main, const OpenRoot& open_root, const DirectoryRequest& request,
                                      DirectoryFault& fault);

/// What is wrong with these paths (absolute, without links; the main one first) before anybody looks into them: the same twice,
/// one inside another, one that can't be written down. Empty: nothing.
std::string check_paths(std::span<const std::string> paths);

/// Journal -> core for this start, by journal id: the k-th journal of directory d is served by core (k + d) modulo
/// `core_count`. With as many journals as cores in one directory it is one each, as ever.
std::vector<CoreIndex> assign_cores(std::span<const uint32_t> journal_directory, uint32_t core_count);

}  // namespace eagre
