#pragma once
// The operating system's back end of client::Transport and Listener for a process that lives on
// Unix sockets alone: poll(2), one thread, at most a few dozen pipes, so a scan per turn is cheaper
// to read than epoll and no slower.

#include <memory>
#include <string>

#include "control/sockets/listener.h"
#include "wire/base/result.h"
#include "wire/client/transport.h"

namespace eagre::sockets {

class UnixSockets : public client::Transport, public Listener {
  public:
    /// Listens on a Unix socket at `path`, mode 0600; a socket file left there by a dead process is
    /// replaced (the caller holds the directory's lock). `wake_fd` (or -1) ends wait() when
    /// readable: a signalfd, for example; it stays the caller's. Errors: kBadArgument (path longer
    /// than sockaddr_un holds; detail = longest), kIo.
    static Result<std::unique_ptr<UnixSockets>> listen(const std::string& path, int wake_fd);
};

}  // namespace eagre::sockets
