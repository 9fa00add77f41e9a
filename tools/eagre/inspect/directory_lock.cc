#include "tools/eagre/inspect/directory_lock.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "dataplane/data_directory.h"

namespace eagre::inspect {
namespace {

std::string lock_path(const std::string& data) {
    return data + "/" + std::string(kLockFile);
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& data) {
    const std::string path = lock_path(data);
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) {
        if (errno == EROFS || errno == ENOENT) return;
        throw std::runtime_error(fmt::format("{}: {}", path, std::strerror(errno)));
    }
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
    char pid[32] = {};
    const ssize_t got = ::pread(fd_, pid, sizeof(pid) - 1, 0);
    if (got > 0 && pid[got - 1] == '\n') pid[got - 1] = '\0';
    ::close(fd_);
    fd_ = -1;
    throw std::runtime_error(fmt::format(
        "{}: in use by pid {}: stop the appliance first ('eagre dump' also reads a running one)",
        data, pid[0] != '\0' ? pid : "?"));
}

DirectoryLock::~DirectoryLock() {
    if (fd_ >= 0) ::close(fd_);
}

bool directory_in_use(const std::string& data) {
    const int fd = ::open(lock_path(data).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool locked = ::flock(fd, LOCK_SH | LOCK_NB) != 0;
    ::close(fd);
    return locked;
}

}  // namespace eagre::inspect
