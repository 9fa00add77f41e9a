#pragma once
// The way in: pipes that others have opened to us. Beside client::Transport, which opens pipes to
// others and moves the bytes of both.

#include <optional>

#include "wire/client/transport.h"

namespace eagre::sockets {

class Listener {
  public:
    virtual ~Listener() = default;
    /// The next pipe that somebody opened, ready for send() and receive() of the Transport that
    /// belongs to this listener; nothing when nobody has. Never blocks.
    virtual std::optional<client::PipeId> accept() = 0;
};

}  // namespace eagre::sockets
