// The cold side of storage: names, creation, locks.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "dataplane/io/uring/uring_files.h"
#include "dataplane/io/uring/uring_io.h"
#include "dataplane/io/uring/uring_storage.h"
#include "wire/base/assert.h"

namespace eagre::io {
namespace {

Error last_error() {
    return os_error(errno == ENOSPC || errno == EDQUOT ? Errc::kDiskFull : Errc::kIo, errno);
}

std::string or_dot(std::string_view path) {
    return path.empty() ? "." : std::string(path);
}

Status write_fully(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t done = ::write(fd, bytes.data(), bytes.size());
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return last_error();
        bytes = bytes.subspan(static_cast<size_t>(done));
    }
    return {};
}

}  // namespace

UringFiles::~UringFiles() {
    if (lock_fd_ >= 0) ::close(lock_fd_);
    if (root_fd_ >= 0) ::close(root_fd_);
}

Status UringFiles::open_root(const std::string& root, bool create) {
    if (create) {
        if (::mkdir(root.c_str(), 0700) == 0) {
            // Its name must last as long as what will lie in it.
            const int parent = ::open((root + "/..").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (parent < 0) return last_error();
            const int synced = ::fsync(parent);
            ::close(parent);
            if (synced != 0) return last_error();
        } else if (errno != EEXIST) {
            return last_error();
        }
    }
    root_fd_ = ::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd_ < 0) return last_error();
    // What direct I/O needs here: asked of a file, for a directory doesn't know.
    const int probe = ::openat(root_fd_, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    struct statx info {};
    if (probe >= 0) {
        if (::statx(probe, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
            (info.stx_mask & STATX_DIOALIGN) != 0 && info.stx_dio_offset_align != 0) {
            block_bytes_ = std::clamp<uint32_t>(
                std::max(info.stx_dio_offset_align, info.stx_dio_mem_align), 512, 4096);
        }
        ::close(probe);
    }
    return {};
}

Result<FileId> UringFiles::adopt(int fd) {
    if (fd < 0) return last_error();
    return storage_.adopt(fd);
}

Result<std::vector<std::string>> UringFiles::list(std::string_view directory) {
    const int fd =
        ::openat(root_fd_, or_dot(directory).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return last_error();
    DIR* stream = ::fdopendir(fd);
    if (stream == nullptr) {
        const Error error = last_error();
        ::close(fd);
        return error;
    }
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
}

bool UringFiles::exists(std::string_view path) {
    return ::faccessat(root_fd_, std::string(path).c_str(), F_OK, 0) == 0;
}

Status UringFiles::make_directory(std::string_view path) {
    if (::mkdirat(root_fd_, std::string(path).c_str(), 0700) != 0 && errno != EEXIST)
        return last_error();
    return {};
}

Status UringFiles::sync_directory(std::string_view path) {
    const int fd = ::openat(root_fd_, or_dot(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return last_error();
    Status status;
    if (::fsync(fd) != 0) status = last_error();
    ::close(fd);
    return status;
}

Result<FileId> UringFiles::open(std::string_view path) {
    return adopt(::openat(root_fd_, std::string(path).c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
}

Result<FileId> UringFiles::create(std::string_view path, uint64_t bytes) {
    const std::string name(path);
    const int fd =
        ::openat(root_fd_, name.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC | O_CREAT | O_EXCL, 0600);
    if (fd < 0) return last_error();
    if (const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes)); error != 0) {
        ::close(fd);
        ::unlinkat(root_fd_, name.c_str(), 0);
        errno = error;
        return last_error();
    }
    return adopt(fd);
}

Result<uint64_t> UringFiles::size(FileId file) {
    struct stat info {};
    if (::fstat(storage_.fd_of(file), &info) != 0) return last_error();
    return static_cast<uint64_t>(info.st_size);
}

void UringFiles::close(FileId file) {
    storage_.release(file);
}

Status UringFiles::remove(std::string_view path) {
    if (::unlinkat(root_fd_, std::string(path).c_str(), 0) != 0) return last_error();
    return {};
}

Status UringFiles::rename(std::string_view from, std::string_view to) {
    if (::renameat(root_fd_, std::string(from).c_str(), root_fd_, std::string(to).c_str()) != 0)
        return last_error();
    return {};
}

Result<std::vector<std::byte>> UringFiles::read_all(std::string_view path) {
    const int fd = ::openat(root_fd_, std::string(path).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return last_error();
    std::vector<std::byte> bytes;
    std::byte chunk[4096];
    for (;;) {
        const ssize_t got = ::read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            const Error error = last_error();
            ::close(fd);
            return error;
        }
        if (got == 0) break;
        bytes.insert(bytes.end(), chunk, chunk + got);
    }
    ::close(fd);
    return bytes;
}

Status UringFiles::replace(std::string_view path, std::span<const std::byte> bytes) {
    const std::string name(path);
    const std::string temporary = name + ".tmp";
    const int fd =
        ::openat(root_fd_, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return last_error();
    Status status = write_fully(fd, bytes);
    if (status && ::fsync(fd) != 0) status = last_error();
    ::close(fd);
    if (!status) return status;
    if (const Status renamed = rename(temporary, name); !renamed) return renamed;
    const size_t slash = name.rfind('/');
    return sync_directory(slash == std::string::npos ? ""
                                                     : std::string_view(name).substr(0, slash));
}

Status UringFiles::lock(std::string_view path) {
    const std::string name(path);
    const int fd = ::openat(root_fd_, name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return last_error();
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char text[32] = {};
        const ssize_t got = ::pread(fd, text, sizeof(text) - 1, 0);
        uint64_t pid = 0;
        if (got > 0) std::from_chars(text, text + got, pid);
        ::close(fd);
        return error_of(Errc::kLocked, pid);
    }
    char text[32];
    const int length = std::snprintf(text, sizeof(text), "%d\n", ::getpid());
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text, static_cast<size_t>(length), 0) != length) {
        const Error error = last_error();
        ::close(fd);
        return error;
    }
    lock_fd_ = fd;
    return {};
}

Result<uint64_t> UringFiles::free_bytes() {
    struct statvfs info {};
    if (::fstatvfs(root_fd_, &info) != 0) return last_error();
    return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace eagre::io
