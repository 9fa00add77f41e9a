#pragma once
// One Io of either back end, with somebody outside who can connect to it. The conformance suite
// runs on both.

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/io/memory.h"
#include "dataplane/io/sim/sim_world.h"
#include "dataplane/io/uring/uring_io.h"
#include "tests/support/sim_transport.h"

namespace eagre::io {

/// The outside: a plain client of sockets.
class RawSockets final : public client::Transport {
  public:
    ~RawSockets() override {
        for (const int fd : fds_) ::close(fd);
    }
    Result<client::PipeId> connect(std::string_view address, uint16_t port) override {
        sockaddr_storage target{};
        socklen_t length = 0;
        if (address.starts_with("unix:")) {
            auto& un = reinterpret_cast<sockaddr_un&>(target);
            un.sun_family = AF_UNIX;
            address.substr(5).copy(un.sun_path, sizeof(un.sun_path) - 1);
            length = sizeof(un);
        } else if (address.find(':') != std::string_view::npos) {
            auto& v6 = reinterpret_cast<sockaddr_in6&>(target);
            v6.sin6_family = AF_INET6;
            v6.sin6_port = htons(port);
            ::inet_pton(AF_INET6, std::string(address).c_str(), &v6.sin6_addr);
            length = sizeof(v6);
        } else {
            auto& v4 = reinterpret_cast<sockaddr_in&>(target);
            v4.sin_family = AF_INET;
            v4.sin_port = htons(port);
            ::inet_pton(AF_INET, std::string(address).c_str(), &v4.sin_addr);
            length = sizeof(v4);
        }
        const int fd = ::socket(target.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&target), length) != 0) {
            const int error = errno;
            ::close(fd);
            return os_error(Errc::kDisconnected, error);
        }
        fds_.push_back(fd);
        return client::PipeId{static_cast<uint64_t>(fd)};
    }
    Result<size_t> send(client::PipeId pipe, std::span<const client::Slice> slices) override {
        size_t taken = 0;
        for (const client::Slice& slice : slices) {
            const ssize_t sent =
                ::send(fd_of(pipe), slice.data, slice.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) break;
            if (sent < 0) return os_error(Errc::kDisconnected, errno);
            taken += static_cast<size_t>(sent);
        }
        return taken;
    }
    Result<size_t> receive(client::PipeId pipe, std::span<std::byte> target) override {
        const ssize_t got = ::recv(fd_of(pipe), target.data(), target.size(), MSG_DONTWAIT);
        if (got > 0) return static_cast<size_t>(got);
        if (got < 0 && errno == EAGAIN) return size_t{0};
        return Errc::kDisconnected;
    }
    void close(client::PipeId pipe) override {
        std::erase(fds_, fd_of(pipe));
        ::close(fd_of(pipe));
    }
    void wait(uint64_t) override { ::usleep(100); }
    uint64_t monotonic_ns() override { return 0; }
    uint64_t wall_ns() override { return 0; }
    uint64_t random() override { return 4; }

  private:
    static int fd_of(client::PipeId pipe) { return static_cast<int>(pipe.value); }
    std::vector<int> fds_;
};

enum class BackEnd { kUring, kSim };

/// Base of every conformance test.
class IoConformance : public ::testing::TestWithParam<BackEnd> {
  protected:
    void SetUp() override {
        if (GetParam() == BackEnd::kSim) {
            sim::SimFaults faults;
            faults.chunk_bytes_max = 3000;
            world_ = std::make_unique<sim::SimWorld>(42, faults);
            node_ = &world_->start_node(disk_);
            outside_ = std::make_unique<test::SimTransport>(*world_);
        } else {
            std::string pattern =
                (std::filesystem::temp_directory_path() / "eagre-io-XXXXXX").string();
            ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
            root_ = pattern;
            auto made = UringIo::create({root_});
            if (!made && made.error().code == Errc::kKernelTooOld) {
                GTEST_SKIP() << "io_uring cannot be used here: "
                             << std::strerror(made.error().os_errno);
            }
            ASSERT_TRUE(made);
            uring_ = std::move(*made);
            outside_ = std::make_unique<RawSockets>();
        }
        buffer_ = *AlignedBuffer::create(1024 * 1024);
    }
    void TearDown() override {
        outside_.reset();
        uring_.reset();
        if (!root_.empty()) std::filesystem::remove_all(root_);
    }

    Io io() { return uring_ ? uring_->io() : node_->io(); }
    bool is_sim() const { return GetParam() == BackEnd::kSim; }
    std::string socket_path() const { return root_ + "/test.sock"; }

    /// Polls until `done`; fails the test after about ten seconds.
    bool until(const std::function<bool()>& done) {
        for (int turn = 0; turn < 20000; ++turn) {
            io().events.poll();
            collect_events();
            if (done()) return true;
            io().events.wait(500'000);
        }
        return false;
    }
    void collect_events() {
        std::array<ConnectionEvent, 16> events{};
        for (size_t count = io().connections.events(events); count != 0;
             count = io().connections.events(events)) {
            seen_.insert(seen_.end(), events.begin(),
                         events.begin() + static_cast<ptrdiff_t>(count));
        }
    }
    bool saw(ConnectionEvent::Kind kind) const { return count_of(kind) != 0; }
    size_t count_of(ConnectionEvent::Kind kind) const {
        size_t count = 0;
        for (const ConnectionEvent& event : seen_) count += event.kind == kind ? 1U : 0U;
        return count;
    }
    void submit(StorageOp& op) {
        StorageOp* ops[] = {&op};
        ASSERT_EQ(io().storage.submit(ops), 1U);
    }
    /// Submits, waits, and returns the result.
    int32_t run(StorageOp& op) {
        submit(op);
        std::array<StorageOp*, 4> done{};
        EXPECT_TRUE(until([&] { return io().storage.reap(done) == 1; }));
        EXPECT_EQ(done[0], &op);
        return op.result;
    }
    StorageOp op(StorageOp::Kind kind, FileId file, uint64_t offset_bytes, size_t at,
                 uint32_t length_bytes) {
        return {kind, file, offset_bytes, buffer_.data() + at, length_bytes, 0, 0, nullptr};
    }

    std::string root_;
    std::unique_ptr<UringIo> uring_;
    std::unique_ptr<sim::SimWorld> world_;
    sim::SimDisk disk_;
    sim::SimNode* node_ = nullptr;
    std::unique_ptr<client::Transport> outside_;
    AlignedBuffer buffer_;
    std::vector<ConnectionEvent> seen_;
};

inline std::string name_of_back_end(const ::testing::TestParamInfo<BackEnd>& info) {
    return info.param == BackEnd::kSim ? "Sim" : "Uring";
}
#define EAGRE_BOTH_BACK_ENDS(suite)                                                        \
    INSTANTIATE_TEST_SUITE_P(Io, suite, ::testing::Values(BackEnd::kUring, BackEnd::kSim), \
                             name_of_back_end)

}  // namespace eagre::io
