#pragma once
// How many bytes of each stream a journal stores, by the time at which they came: what retention by bytes goes by, and what
// `describe` shows. Counted as runs are appended; what was there at start is told, segment by segment, by retention's first pass.
//
// Bytes are those of runs, headers included. They are kept in few slices of time, in each of which they count as evenly
// spread: so an age is known to within a thirty-second part of what is stored, and after a start to within a segment.

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace eagre::journal {

class StreamUsage {
  public:
    StreamUsage();
    /// A run that was appended. Allocates nothing. Times that fall (shards of one stream are stamped on their own) count as the
    /// newest.
    void add(uint64_t arrival_ns, uint64_t bytes);
    /// What lies in a segment that was there before: came from `from_ns` to `until_ns`.
    void note(uint64_t from_ns, uint64_t until_ns, uint64_t bytes);
    /// What arrived before is gone.
    void forget_before(uint64_t ns);
    /// The earliest time such that what arrived then or later is at most `bytes`; 0: all of it is. Never behind the newest: a
    /// burst that came in one instant stays, were it larger than `bytes`.
    uint64_t floor_for(uint64_t bytes) const;

    uint64_t stored_bytes() const { return stored_bytes_; }
    /// What arrived before is to go, whatever its age. Only grows.
    uint64_t floor_ns() const { return floor_ns_; }
    /// Returns false when it is there already.
    bool raise_floor(uint64_t ns);

    uint32_t shard_count = 0;   // That are not deleted.
    uint64_t retention_ms = 0;  // As their facts say.

  private:
    struct Slice {
        uint64_t from_ns;
        uint64_t until_ns;  // Of the last run in it.
        uint64_t bytes;
    };
    void make_room();

    std::vector<Slice> slices_;  // By until_ns.
    uint64_t stored_bytes_ = 0;
    uint64_t floor_ns_ = 0;
};

class StreamUsageTable {
  public:
    StreamUsage& take(uint64_t stream);
    const StreamUsage* find(uint64_t stream) const;
    StreamUsage* find(uint64_t stream);
    void drop(uint64_t stream) { streams_.erase(stream); }
    const std::unordered_map<uint64_t, std::unique_ptr<StreamUsage>>& all() const { return streams_; }

  private:
    std::unordered_map<uint64_t, std::unique_ptr<StreamUsage>> streams_;
};

}  // namespace eagre::journal
