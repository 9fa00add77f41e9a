// udp_sink: a program that only receives datagrams, and one that only sends them: what UDP over loopback gives between two
// pinned threads. Receives by recvmmsg, by io_uring multishot recvmsg, or with UDP_GRO, so that the three can be compared; the
// sender uses sendmmsg, or UDP_SEGMENT (--gso). Prints one JSON line. Loopback is no NIC.
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "perf/ceilings/json_line.h"
#include "perf/ceilings/machine.h"
#include "wire/base/assert.h"

namespace eagre::perf {
namespace {

constexpr size_t kBurst = 64;
constexpr size_t kPlaceBytes = 9216;
constexpr size_t kGroBytes = 65536;
constexpr int kSocketBufferBytes = 16 << 20;
constexpr uint32_t kRingBuffers = 1024;
constexpr size_t kGsoSegmentsMax = 44;  // Of 1,400 bytes: within the 64 KiB of one IP packet.

struct Options {
    std::string receive = "recvmmsg";
    uint32_t bytes = 1400;
    double seconds = 1.0;
    double warmup = 0.2;
    bool gso = false;
    uint32_t server_cpu = 0;
    uint32_t client_cpu = 1;
};

struct Count {
    std::atomic<uint64_t> datagrams{0};
    std::atomic<uint64_t> bytes{0};
    void add(uint64_t count, uint64_t total) {
        datagrams.store(datagrams.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
        bytes.store(bytes.load(std::memory_order_relaxed) + total, std::memory_order_relaxed);
    }
};

void set_buffers(int fd) {
    for (const int option : {SO_RCVBUFFORCE, SO_SNDBUFFORCE})
        (void)::setsockopt(fd, SOL_SOCKET, option, &kSocketBufferBytes, sizeof kSocketBufferBytes);
}

// As Eagre waits: polls while there is something, sleeps in poll(2) when there is not.
void wait_readable(int fd) {
    pollfd waiting{fd, POLLIN, 0};
    (void)::poll(&waiting, 1, 50);
}

void receive_by_recvmmsg(int fd, const std::atomic<bool>& stop, Count& count) {
    std::vector<std::byte> memory(kBurst * kPlaceBytes);
    std::array<mmsghdr, kBurst> messages{};
    std::array<iovec, kBurst> places{};
    std::array<sockaddr_storage, kBurst> sources{};
    for (size_t i = 0; i < kBurst; ++i) {
        places[i] = {memory.data() + i * kPlaceBytes, kPlaceBytes};
        messages[i].msg_hdr.msg_iov = &places[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &sources[i];
    }
    while (!stop.load(std::memory_order_relaxed)) {
        for (auto& message : messages) message.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
        const int got = ::recvmmsg(fd, messages.data(), kBurst, MSG_DONTWAIT, nullptr);
        if (got <= 0) {
            wait_readable(fd);
            continue;
        }
        uint64_t bytes = 0;
        for (int i = 0; i < got; ++i) bytes += messages[static_cast<size_t>(i)].msg_len;
        count.add(static_cast<uint64_t>(got), bytes);
    }
}

void receive_by_gro(int fd, const std::atomic<bool>& stop, Count& count) {
    const int on = 1;
    EAGRE_ASSERT(::setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0);
    constexpr size_t kCount = 16;
    std::vector<std::byte> memory(kCount * kGroBytes);
    std::array<mmsghdr, kCount> messages{};
    std::array<iovec, kCount> places{};
    std::array<std::array<char, CMSG_SPACE(sizeof(int))>, kCount> controls{};
    while (!stop.load(std::memory_order_relaxed)) {
        for (size_t i = 0; i < kCount; ++i) {
            places[i] = {memory.data() + i * kGroBytes, kGroBytes};
            messages[i].msg_hdr = {};
            messages[i].msg_hdr.msg_iov = &places[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_control = controls[i].data();
            messages[i].msg_hdr.msg_controllen = controls[i].size();
        }
        const int got = ::recvmmsg(fd, messages.data(), kCount, MSG_DONTWAIT, nullptr);
        if (got <= 0) {
            wait_readable(fd);
            continue;
        }
        for (size_t i = 0; i < static_cast<size_t>(got); ++i) {
            int segment = static_cast<int>(messages[i].msg_len);
            for (cmsghdr* c = CMSG_FIRSTHDR(&messages[i].msg_hdr); c != nullptr; c = CMSG_NXTHDR(&messages[i].msg_hdr, c)) {
                if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) std::memcpy(&segment, CMSG_DATA(c), sizeof segment);
            }
            const uint64_t each = segment > 0 ? static_cast<uint64_t>(segment) : 1;
            count.add((messages[i].msg_len + each - 1) / each, messages[i].msg_len);
        }
    }
}

void receive_by_multishot(int fd, const std::atomic<bool>& stop, Count& count) {
    io_uring ring{};
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
    params.cq_entries = 4 * kRingBuffers;
    EAGRE_ASSERT(io_uring_queue_init_params(64, &ring, &params) == 0);
    // The kernel puts an io_uring_recvmsg_out and the source address in front of each datagram.
    std::vector<std::byte> memory(kRingBuffers * kPlaceBytes);
    io_uring_buf_reg registration{};
    void* ring_memory = nullptr;
    EAGRE_ASSERT(::posix_memalign(&ring_memory, 4096, kRingBuffers * sizeof(io_uring_buf)) == 0);
    registration.ring_addr = reinterpret_cast<uint64_t>(ring_memory);
    registration.ring_entries = kRingBuffers;
    EAGRE_ASSERT(io_uring_register_buf_ring(&ring, &registration, 0) == 0);
    auto* buffers = static_cast<io_uring_buf_ring*>(ring_memory);
    io_uring_buf_ring_init(buffers);
    const int mask = io_uring_buf_ring_mask(kRingBuffers);
    for (uint32_t i = 0; i < kRingBuffers; ++i) {
        io_uring_buf_ring_add(buffers, memory.data() + i * kPlaceBytes, kPlaceBytes, static_cast<uint16_t>(i), mask,
                              static_cast<int>(i));
    }
    io_uring_buf_ring_advance(buffers, kRingBuffers);
    msghdr message{};
    message.msg_namelen = sizeof(sockaddr_storage);
    const auto arm = [&] {
        io_uring_sqe* sqe = io_uring_get_sqe(&ring);
        io_uring_prep_recvmsg_multishot(sqe, fd, &message, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
    };
    arm();
    while (!stop.load(std::memory_order_relaxed)) {
        __kernel_timespec timeout{0, 50'000'000};
        io_uring_cqe* cqe = nullptr;
        (void)io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &timeout, nullptr);
        unsigned head = 0;
        unsigned seen = 0;
        uint64_t bytes = 0;
        uint64_t datagrams = 0;
        bool rearm = false;
        int returned = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            ++seen;
            if ((cqe->flags & IORING_CQE_F_MORE) == 0) rearm = true;
            if (cqe->res < 0 || (cqe->flags & IORING_CQE_F_BUFFER) == 0) continue;
            const auto id = static_cast<uint16_t>(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
            auto* place = memory.data() + id * kPlaceBytes;
            io_uring_recvmsg_out* out = io_uring_recvmsg_validate(place, cqe->res, &message);
            if (out != nullptr) {
                ++datagrams;
                bytes += io_uring_recvmsg_payload_length(out, cqe->res, &message);
            }
            io_uring_buf_ring_add(buffers, place, kPlaceBytes, id, mask, returned++);
        }
        io_uring_buf_ring_advance(buffers, returned);
        io_uring_cq_advance(&ring, seen);
        if (rearm) arm();
        if (datagrams != 0) count.add(datagrams, bytes);
    }
    io_uring_queue_exit(&ring);
    std::free(ring_memory);
}

void send_all(int fd, const Options& options, const std::atomic<bool>& stop, std::atomic<uint64_t>& sent) {
    const size_t segments = options.gso ? std::min(kGsoSegmentsMax, 60000 / size_t{options.bytes}) : 1;
    std::vector<std::byte> data(options.bytes * segments, std::byte{0x5a});
    if (options.gso) {
        const int segment = static_cast<int>(options.bytes);
        EAGRE_ASSERT(::setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) == 0);
    }
    iovec slice{data.data(), data.size()};
    std::array<mmsghdr, kBurst> messages{};
    for (auto& message : messages) {
        message.msg_hdr.msg_iov = &slice;
        message.msg_hdr.msg_iovlen = 1;
    }
    const unsigned burst = options.gso ? 4 : kBurst;
    uint64_t total = 0;
    while (!stop.load(std::memory_order_relaxed)) {
        const int taken = ::sendmmsg(fd, messages.data(), burst, 0);
        if (taken > 0) total += static_cast<uint64_t>(taken) * segments;
        sent.store(total, std::memory_order_relaxed);
    }
}

int run(const Options& options) {
    const int server = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int client = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    set_buffers(server);
    set_buffers(client);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EAGRE_ASSERT(::bind(server, generic, length) == 0);
    EAGRE_ASSERT(::getsockname(server, generic, &length) == 0);
    EAGRE_ASSERT(::connect(client, generic, length) == 0);

    std::atomic<bool> stop{false};
    Count count;
    std::atomic<uint64_t> sent{0};
    std::atomic<uint64_t> receiver_cpu_ns{0};
    std::thread receiver([&] {
        pin_to_cpu(options.server_cpu);
        if (options.receive == "multishot") receive_by_multishot(server, stop, count);
        else if (options.receive == "gro") receive_by_gro(server, stop, count);
        else receive_by_recvmmsg(server, stop, count);
        receiver_cpu_ns = thread_cpu_ns();
    });
    std::thread sender([&] {
        pin_to_cpu(options.client_cpu);
        send_all(client, options, stop, sent);
    });
    const auto pause = [](double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); };
    pause(options.warmup);
    const uint64_t began_ns = monotonic_ns();
    const uint64_t datagrams = count.datagrams;
    const uint64_t bytes = count.bytes;
    const uint64_t sent_before = sent;
    pause(options.seconds);
    const double seconds = static_cast<double>(monotonic_ns() - began_ns) / 1e9;
    const uint64_t got = count.datagrams - datagrams;
    const uint64_t got_bytes = count.bytes - bytes;
    const uint64_t offered = sent - sent_before;
    stop = true;
    sender.join();
    receiver.join();
    JsonLine line;
    line.add("receive", options.receive)
        .add("gso", options.gso)
        .add("datagram_bytes", uint64_t{options.bytes})
        .add("datagrams_per_s", static_cast<double>(got) / seconds)
        .add("bytes_per_s", static_cast<double>(got_bytes) / seconds)
        .add("sent_per_s", static_cast<double>(offered) / seconds)
        .add("receiver_cpu_share", static_cast<double>(receiver_cpu_ns) / 1e9 / (seconds + options.warmup));
    std::puts(line.text().c_str());
    ::close(server);
    ::close(client);
    return got > 0 ? 0 : 1;
}

}  // namespace
}  // namespace eagre::perf

int main(int argc, char** argv) {
    CLI::App app("udp_sink: what UDP over loopback gives a program that only receives");
    eagre::perf::Options options;
    app.add_option("--receive", options.receive)->check(CLI::IsMember({"recvmmsg", "multishot", "gro"}));
    app.add_option("--bytes", options.bytes)->check(CLI::Range(64U, 9000U));
    app.add_option("--seconds", options.seconds);
    app.add_option("--warmup", options.warmup);
    app.add_flag("--gso", options.gso);
    app.add_option("--server-cpu", options.server_cpu);
    app.add_option("--client-cpu", options.client_cpu);
    CLI11_PARSE(app, argc, argv);
    return eagre::perf::run(options);
}
