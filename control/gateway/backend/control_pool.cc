#include "control/gateway/backend/control_pool.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace eagre::gateway {
namespace {

constexpr size_t kWaitingMax = 1024;
constexpr uint64_t kTimeoutNs = 10'000'000'000ULL;

}  // namespace

ControlPool::ControlPool(std::string socket_path, uint32_t thread_count)
    : socket_path_(std::move(socket_path)), event_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    for (uint32_t i = 0; i < thread_count; ++i) threads_.emplace_back([this] { run(); });
}

ControlPool::~ControlPool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    ::close(event_fd_);
}

void ControlPool::submit(Job job, Failed failed) {
    {
        const std::lock_guard lock(mutex_);
        if (items_.size() < kWaitingMax) {
            items_.push_back({std::move(job), std::move(failed)});
            wake_.notify_one();
            return;
        }
    }
    failed(error_of(Errc::kBusy, kWaitingMax), "Too many calls wait for eagre-control.");
}

void ControlPool::run() {
    std::unique_ptr<client::ControlClient> client;
    for (;;) {
        Item item;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !items_.empty(); });
            if (stopping_) return;
            item = std::move(items_.front());
            items_.pop_front();
        }
        finish(completion_of(item, client));
    }
}

ControlPool::Completion ControlPool::completion_of(Item& item, std::unique_ptr<client::ControlClient>& client) {
    for (bool fresh = false;; client.reset()) {
        if (client == nullptr) {
            if (fresh) return [failed = std::move(item.failed)] { failed(error_of(Errc::kUnavailable), "eagre-control closed the connection."); };
            auto connected = client::ControlClient::connect(socket_path_, kTimeoutNs);
            if (!connected) return [failed = std::move(item.failed)] { failed(error_of(Errc::kUnavailable), "eagre-control does not answer."); };
            client = std::move(*connected);
            fresh = true;
        }
        auto done = item.job(*client);
        if (done) return std::move(*done);
        if (done.error().code == Errc::kDisconnected) continue;
        return [failed = std::move(item.failed), error = done.error(), message = client->message()] { failed(error, message); };
    }
}

void ControlPool::finish(Completion completion) {
    {
        const std::lock_guard lock(mutex_);
        done_.push_back(std::move(completion));
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(event_fd_, &one, sizeof(one));
}

void ControlPool::poll() {
    uint64_t count = 0;
    if (::read(event_fd_, &count, sizeof(count)) != sizeof(count)) return;
    std::vector<Completion> done;
    {
        const std::lock_guard lock(mutex_);
        done.swap(done_);
    }
    for (const Completion& completion : done) completion();
}

}  // namespace eagre::gateway
