#include "dataplane/io/uring/shared_file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace eagre::io {

Result<SharedFile> SharedFile::create(const std::string& path, size_t bytes) {
    // A new inode, so that readers of the old run keep what they had instead of seeing it zeroed.
    ::unlink(path.c_str());
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return os_error(Errc::kIo, errno);
    if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
        const Error error = os_error(Errc::kIo, errno);
        ::close(fd);
        return error;
    }
    void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int error = errno;
    ::close(fd);
    if (base == MAP_FAILED) return os_error(Errc::kIo, error);
    SharedFile file;
    file.base_ = base;
    file.bytes_ = bytes;
    return file;
}

SharedFile::~SharedFile() {
    if (base_ != nullptr) ::munmap(base_, bytes_);
}

}  // namespace eagre::io
