#include "control/streams/placement.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::streams {

Placement::Placement(const StreamTable& table, const Facts& facts) {
    std::vector<uint64_t> open_count(facts.journal_count, 0);
    for (const auto& [id, stream] : table.streams()) {
        for (const catalog::ShardRow& shard : stream.shards) {
            if (shard.open && shard.journal.value < open_count.size())
                ++open_count[shard.journal.value];
        }
    }
    for (uint32_t i = 0; i < facts.journal_count; ++i) {
        if (facts.journal_available(JournalId(i)))
            journals_.push_back({JournalId(i), open_count[i]});
    }
}

void Placement::release(JournalId journal) {
    for (Load& load : journals_) {
        if (load.journal == journal && load.shard_count > 0) --load.shard_count;
    }
}

JournalId Placement::next() {
    EAGRE_ASSERT(!journals_.empty());
    const auto least = std::min_element(
        journals_.begin(), journals_.end(),
        [](const Load& a, const Load& b) { return a.shard_count < b.shard_count; });
    ++least->shard_count;
    return least->journal;
}

}  // namespace eagre::streams
