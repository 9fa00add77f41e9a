#pragma once
// The real back end: one io_uring per core for the disk and for readiness of sockets. Bytes of
// sockets go by plain non-blocking recv and sendmsg of up to a MiB, which measured faster than
// io_uring's receive modes (those reach 0.92 to 0.97 of it at 256-byte records in 64 KiB batches);
// the ring says when.
//
// Must be created on the thread that uses it (IORING_SETUP_SINGLE_ISSUER). Only Events::wake may be
// called from elsewhere.

#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/io/io.h"
#include "wire/base/result.h"

namespace eagre::io {

inline constexpr uint32_t kRingEntries = 1024;
inline constexpr uint32_t kCompletionEntries = 16 * 1024;
inline constexpr uint32_t kStorageInFlightMax = 512;
inline constexpr uint32_t kConnectionCountMax = 8192;  // Beyond: accepted and closed at once.
inline constexpr uint32_t kListenerCountMax = 16;
inline constexpr uint32_t kFileCountMax = 65536;

struct UringOptions {
    std::string
        root;  // Directory that all paths of Files are relative to; created (one level) if absent.
};

class UringIo {
  public:
    /// Errors: kKernelTooOld (os_errno says what failed), kIo (root directory).
    static Result<std::unique_ptr<UringIo>> create(const UringOptions& options);
    virtual ~UringIo() = default;
    /// One more root, the next of Io::further. `path` empty: a directory that is missing, its place
    /// stays null. Not after io() was given to a core. Errors: kIo (os_errno ENOENT: not there and
    /// not to be created).
    virtual Result<Files*> add_root(const std::string& path, bool create) = 0;
    virtual Io io() = 0;
};

}  // namespace eagre::io
