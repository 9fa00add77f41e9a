#pragma once
// The data directory's lock (eagred.lock), held while somebody looks at it offline.

#include <string>

namespace eagre::inspect {

class DirectoryLock {
  public:
    /// Takes it. Throws std::runtime_error when an eagred (or another check) has it, with its pid.
    /// Where the file can't be made (a read-only file system) nobody else can run either: no lock.
    explicit DirectoryLock(const std::string& data);
    ~DirectoryLock();
    DirectoryLock(const DirectoryLock&) = delete;
    DirectoryLock& operator=(const DirectoryLock&) = delete;

  private:
    int fd_ = -1;
};

/// True when somebody holds the lock now.
bool directory_in_use(const std::string& data);

}  // namespace eagre::inspect
