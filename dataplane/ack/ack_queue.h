#pragma once
// Durable watermark -> one answer per batch. One queue per journal, in commit order; entries leave from the front as the
// journal's durable commit moves. Nothing leaves it earlier.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dataplane/journal/journal.h"
#include "dataplane/reactor/outlet.h"
#include "dataplane/shard/shard.h"
#include "wire/base/assert.h"
#include "wire/base/types.h"

namespace eagre::ack {

/// Who hears of it: a connection of this core, by its pipe or by datagram, or one of another core, or nobody.
struct ReplyTo {
    enum class Kind : uint8_t { kNobody, kConnection, kDatagram, kCore };
    Kind kind = Kind::kNobody;
    CoreIndex core;                // kCore: where the connection lives.
    reactor::OutletId outlet;      // kConnection, kDatagram, kCore.
};

struct AckEntry {
    journal::CommitNumber commit;
    ReplyTo to;
    ShardId shard;
    SequenceNumber first_sequence;
    SequenceNumber durable_after;  // The shard's durable watermark once this is durable; 0: leaves it alone.
    uint64_t correlation = 0;
    BatchNumber batch;
    uint64_t received_ns = 0;      // Monotonic: frame complete in memory.
    uint32_t record_count = 0;
    uint32_t payload_bytes = 0;    // 0 for the answer to a repeated batch.
};

/// Bounded ring. The bound is on batches between append and durable; the journal's window is the other one.
class AckQueue {
  public:
    explicit AckQueue(uint32_t count_max) : entries_(count_max) {}
    bool full() const { return tail_ - head_ == entries_.size(); }
    bool empty() const { return tail_ == head_; }
    size_t room() const { return entries_.size() - count(); }
    size_t count() const { return static_cast<size_t>(tail_ - head_); }
    void push(AckEntry entry) {
        EAGRE_ASSERT(!full());
        // The answer to a repeated batch may name an older commit than the one before it: later is never too early.
        if (!empty()) entry.commit = std::max(entry.commit, entries_[(tail_ - 1) % entries_.size()].commit);
        entries_[tail_++ % entries_.size()] = entry;
    }
    /// Hands every entry at or below `durable` to `visit(const AckEntry&)`, oldest first. Returns how many.
    template <class Visit>
    size_t drain(journal::CommitNumber durable, Visit visit) {
        const uint64_t before = head_;
        while (head_ != tail_) {
            const AckEntry& entry = entries_[head_ % entries_.size()];
            if (entry.commit > durable) break;
            ++head_;
            visit(entry);
        }
        return static_cast<size_t>(head_ - before);
    }
    /// Hands out everything, for a journal that has failed: the outcome is unknown.
    template <class Visit>
    void drain_failed(Visit visit) {
        while (head_ != tail_) visit(entries_[head_++ % entries_.size()]);
    }

  private:
    std::vector<AckEntry> entries_;
    uint64_t head_ = 0;
    uint64_t tail_ = 0;
};

}  // namespace eagre::ack
