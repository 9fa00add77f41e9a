#pragma once
// Frames of one inlet, or of the own port, until they are asked for. Bounded; of one core.

#include <cstddef>
#include <cstdint>
#include <memory>

#include <rte_mbuf.h>

namespace eagre::io {

class FrameFifo {
  public:
    static constexpr uint32_t kCount = 2048;  // A power of two.

    FrameFifo() : places_(std::make_unique<rte_mbuf*[]>(kCount)) {}
    ~FrameFifo() {
        while (rte_mbuf* frame = pop()) rte_pktmbuf_free(frame);
    }
    FrameFifo(const FrameFifo&) = delete;
    FrameFifo& operator=(const FrameFifo&) = delete;

    bool push(rte_mbuf* frame) {
        if (size() == kCount) return false;
        places_[tail_++ % kCount] = frame;
        return true;
    }
    rte_mbuf* pop() { return head_ == tail_ ? nullptr : places_[head_++ % kCount]; }
    uint32_t size() const { return tail_ - head_; }

  private:
    std::unique_ptr<rte_mbuf*[]> places_;
    uint32_t head_ = 0;
    uint32_t tail_ = 0;
};

}  // namespace eagre::io
