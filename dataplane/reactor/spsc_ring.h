#pragma once
// A bounded byte ring from one core to one other: variable-length messages, 8-byte aligned, never split. Wait-free on both
// sides. One producer thread, one consumer thread.

#include <atomic>
#include <cstddef>
#include <cstring>
#include <cstdint>
#include <span>

#include "dataplane/io/memory.h"
#include "wire/base/assert.h"
#include "wire/base/result.h"

namespace eagre::reactor {

class SpscRing {
  public:
    /// `bytes`: capacity, rounded up to pages. Errors: kIo (no memory).
    static Result<SpscRing> create(size_t bytes) {
        auto memory = io::MirroredBuffer::create(bytes);
        if (!memory) return memory.error();
        SpscRing ring;
        ring.memory_ = std::move(*memory);
        return ring;
    }
    SpscRing() = default;
    SpscRing(SpscRing&& other) noexcept : memory_(std::move(other.memory_)) {}
    SpscRing& operator=(SpscRing&& other) noexcept {
        memory_ = std::move(other.memory_);
        return *this;
    }

    /// Room for a message of `bytes`, or an empty span when there is none now. publish() makes it visible.
    std::span<std::byte> reserve(size_t bytes) {
        const size_t whole = framed(bytes);
        if (whole > memory_.bytes()) return {};
        const uint64_t head = head_.load(std::memory_order_relaxed);
        if (head + whole - tail_.load(std::memory_order_acquire) > memory_.bytes()) return {};
        reserved_ = whole;
        std::byte* at = memory_.at(head);
        const uint64_t length = bytes;
        std::memcpy(at, &length, sizeof(length));
        return {at + sizeof(length), bytes};
    }
    void publish() {
        EAGRE_ASSERT_GT(reserved_, 0U);
        head_.store(head_.load(std::memory_order_relaxed) + reserved_, std::memory_order_release);
        reserved_ = 0;
    }

    /// The oldest message, empty when there is none. Valid until release().
    std::span<const std::byte> front() const {
        const uint64_t tail = tail_.load(std::memory_order_relaxed);
        if (tail == head_.load(std::memory_order_acquire)) return {};
        const std::byte* at = memory_.at(tail);
        uint64_t length = 0;
        std::memcpy(&length, at, sizeof(length));
        return {at + sizeof(length), static_cast<size_t>(length)};
    }
    void release() {
        const auto message = front();
        EAGRE_ASSERT(message.data() != nullptr);
        tail_.store(tail_.load(std::memory_order_relaxed) + framed(message.size()), std::memory_order_release);
    }

  private:
    static size_t framed(size_t bytes) { return sizeof(uint64_t) + (bytes + 7) / 8 * 8; }

    io::MirroredBuffer memory_;
    alignas(64) std::atomic<uint64_t> head_{0};  // Written by the producer.
    size_t reserved_ = 0;
    alignas(64) std::atomic<uint64_t> tail_{0};  // Written by the consumer.
};

}  // namespace eagre::reactor
