#include "dataplane/io/uring/uring_io.h"

#include <vector>

#include <sys/random.h>

#include "dataplane/io/uring/ring.h"
#include "dataplane/io/uring/system_clock.h"
#include "dataplane/io/uring/uring_connections.h"
#include "dataplane/io/uring/uring_datagrams.h"
#include "dataplane/io/uring/uring_files.h"
#include "dataplane/io/uring/uring_storage.h"

namespace eagre::io {
namespace {

class UringIoImpl final : public UringIo {
  public:
    UringIoImpl() : storage_(ring_), files_(storage_), connections_(ring_), datagrams_(ring_) {}

    Status open(const UringOptions& options) {
        if (const Status opened = ring_.open(); !opened) return opened;
        ring_.set_sinks(&storage_, connections_.accept_sink(), connections_.poll_sink(), &datagrams_);
        if (const Status opened = files_.open_root(options.root, true); !opened) return opened;
        seed_ = kernel_random();
        return {};
    }
    Result<Files*> add_root(const std::string& path, bool create) override {
        if (path.empty()) {
            further_.push_back(nullptr);
            return nullptr;
        }
        auto files = std::make_unique<UringFiles>(storage_);
        if (const Status opened = files->open_root(path, create); !opened) return opened.error();
        further_.push_back(files.get());
        roots_.push_back(std::move(files));
        return further_.back();
    }
    Io io() override {
        return {ring_, connections_, datagrams_, storage_, files_, clock_, seed_, further_};
    }

  private:
    // The ring goes last: requests under way still point into storage and connections.
    SystemClock clock_;
    Ring ring_;
    UringStorage storage_;
    UringFiles files_;
    std::vector<std::unique_ptr<UringFiles>> roots_;
    std::vector<Files*> further_;
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
