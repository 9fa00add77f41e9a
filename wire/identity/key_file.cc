#include "wire/identity/key_file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace eagre::identity {
namespace {

constexpr mode_t kOthers = 0077;

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }

  private:
    int fd_;
};

// Under its name only when it is whole and durable: the other process may look at any moment.
Status make_key_file(const std::string& directory, const std::string& path, const Bytes32& random) {
    const Descriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.get() < 0) return os_error(Errc::kIo, errno);
    const std::string draft = path + "." + std::to_string(::getpid()) + ".tmp";
    ::unlink(draft.c_str());
    const Descriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return os_error(Errc::kIo, errno);
    const bool written = ::write(file.get(), random.data(), random.size()) == static_cast<ssize_t>(random.size()) &&
                         ::fsync(file.get()) == 0;
    const int write_errno = errno;
    // A link fails where the name is taken: then the other process has been faster, and its file counts.
    const bool linked = written && (::link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST);
    const int link_errno = errno;
    ::unlink(draft.c_str());
    if (!linked) return os_error(Errc::kIo, written ? link_errno : write_errno);
    if (::fsync(parent.get()) != 0) return os_error(Errc::kIo, errno);
    return {};
}

}  // namespace

Result<Bytes32> open_key_file(const std::string& data_directory, const Bytes32& random) {
    const std::string path = data_directory + "/" + kKeyFileName;
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        if (errno != ENOENT) return os_error(Errc::kIo, errno);
        if (const Status made = make_key_file(data_directory, path, random); !made) return made.error();
    }
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (file.get() < 0) return os_error(errno == ELOOP ? Errc::kKeyFileUnsafe : Errc::kIo, errno);
    if (::fstat(file.get(), &info) != 0) return os_error(Errc::kIo, errno);
    if (!S_ISREG(info.st_mode)) return Errc::kCorruptDirectory;
    if ((info.st_mode & kOthers) != 0 || info.st_uid != ::geteuid()) return error_of(Errc::kKeyFileUnsafe, info.st_mode & 07777);
    Bytes32 key;
    if (info.st_size != static_cast<off_t>(key.size())) return Errc::kCorruptDirectory;
    if (::read(file.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size())) return os_error(Errc::kIo, errno);
    return key;
}

}  // namespace eagre::identity
