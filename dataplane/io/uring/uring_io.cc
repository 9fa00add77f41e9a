#include "dataplane/io/uring/uring_io.h"

#include <sys/random.h>

#include "dataplane/io/uring/ring.h"
#include "dataplane/io/uring/system_clock.h"
#include "dataplane/io/uring/uring_connections.h"
#include "dataplane/io/uring/uring_datagrams.h"
#include "dataplane/io/uring/uring_storage.h"

namespace eagre::io {
namespace {

class UringIoImpl final : public UringIo {
  public:
    UringIoImpl() : storage_(ring_), connections_(ring_), datagrams_(ring_) {}

    Status open(const UringOptions& options) {
        if (const Status opened = ring_.open(); !opened) return opened;
        ring_.set_sinks(&storage_, connections_.accept_sink(), connections_.poll_sink(), &datagrams_);
        if (const Status opened = storage_.open_root(options.root); !opened) return opened;
        seed_ = kernel_random();
        return {};
    }
    Io io() override {
        return {ring_, connections_, datagrams_, storage_, storage_, clock_, seed_};
    }

  private:
    // The ring goes last: requests under way still point into storage and connections.
    SystemClock clock_;
    Ring ring_;
    UringStorage storage_;
    UringConnections connections_;
    UringDatagrams datagrams_;
    uint64_t seed_ = 0;
};

}  // namespace

uint64_t kernel_random() {
    uint64_t value = 0;
    while (::getrandom(&value, sizeof(value), 0) != sizeof(value)) {
    }
    return value;
}

Result<std::unique_ptr<UringIo>> UringIo::create(const UringOptions& options) {
    auto io = std::make_unique<UringIoImpl>();
    if (const Status opened = io->open(options); !opened) return opened.error();
    return std::unique_ptr<UringIo>(std::move(io));
}

}  // namespace eagre::io
