#pragma once
// How a feed with numbered messages knows after a restart what is stored. Its runs carry a producer id that says which feed and which session of
// the source, and as batch number the source's number that came next when the run was formed.
//
// Runs of one flush into one journal are one commit, all or none, and come in the order of the messages. So everything before the highest number
// found in a journal is stored there ("together"). Runs that went to another core are bound to no others ("alone"): their number speaks for their
// own shard.
//
// Producer id: 12 bits 0xFED, 1 bit alone, 19 bits feed, 32 bits CRC-32C of the session's name.

#include <cstdint>
#include <map>
#include <vector>

#include "dataplane/journal/journal.h"
#include "dataplane/shard/directory.h"
#include "wire/base/types.h"

namespace eagre::feed {

inline constexpr uint32_t kFeedIdMax = (1U << 19U) - 1;

struct Source {
    uint32_t feed = 0;
    uint32_t session = 0;  // CRC-32C of its name.
    friend auto operator<=>(const Source&, const Source&) = default;
};
ProducerId producer_of(const Source& source, bool alone);
Source source_of(ProducerId id);
inline bool is_alone(ProducerId id) { return ((id.value >> 51U) & 1U) != 0; }

class Resume {
  public:
    /// What a journal has recovered of a producer; those that are no feeds are left out.
    void take(JournalId journal, const journal::ProducerFacts& facts);
    void merge(const Resume& other);
    bool empty() const { return sources_.empty(); }

    /// The first number of `source` that is not known to be stored in the shard; 0: nothing is known. `stream`: the shard's; where a shard has
    /// nothing of its own, what its parents had counts.
    uint64_t next_of(const Source& source, const shard::StreamEntry& stream, const shard::ShardEntry& shard) const;

  private:
    struct Places {
        std::map<JournalId, uint64_t> together;
        std::map<ShardId, uint64_t> alone;
    };
    std::map<Source, Places> sources_;
};

}  // namespace eagre::feed
