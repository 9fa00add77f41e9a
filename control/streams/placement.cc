#include "control/streams/placement.h"

#include <algorithm>
#include <map>

#include "wire/base/assert.h"

namespace eagre::streams {
namespace {

std::map<JournalId, uint64_t> count_open(const StreamTable& table) {
    std::map<JournalId, uint64_t> open_count;
    for (const auto& [id, stream] : table.streams()) {
        for (const catalog::ShardRow& shard : stream.shards) {
            if (shard.open) ++open_count[shard.journal];
        }
    }
    return open_count;
}

}  // namespace

Placement::Placement(const StreamTable& table, const Facts& facts) {
    const auto open_count = count_open(table);
    for (uint32_t i = 0; i < facts.journal_count; ++i) {
        const JournalId id(i);
        if (!facts.journal_available(id)) continue;
        const auto found = open_count.find(id);
        journals_.push_back({id, facts.place_of(id).core, found == open_count.end() ? 0 : found->second});
    }
}

void Placement::release(JournalId journal) {
    for (Load& load : journals_) {
        if (load.journal == journal && load.shard_count > 0) --load.shard_count;
    }
}

Placement::Load& Placement::least() {
    EAGRE_ASSERT(!journals_.empty());
    std::map<CoreIndex, uint64_t> cores;
    for (const Load& each : journals_) cores[each.core] += each.shard_count;
    return *std::min_element(journals_.begin(), journals_.end(), [&cores](const Load& a, const Load& b) {
        const uint64_t core_a = cores[a.core];
        const uint64_t core_b = cores[b.core];
        if (core_a != core_b) return core_a < core_b;
        return a.shard_count < b.shard_count;
    });
}

JournalId Placement::next() {
    Load& least = this->least();
    ++least.shard_count;
    return least.journal;
}

/// Moves open shards in thought until nothing gets more even by it.
class Rebalancing {
  public:
    Rebalancing(const StreamTable& table, const Facts& facts, size_t moves_max)
        : spread_(table, facts), moves_max_(moves_max) {
        for (const auto& [id, stream] : table.streams()) {
            if (stream.row.state != catalog::StreamState::kActive) continue;
            for (const catalog::ShardRow& shard : stream.shards) {
                if (!shard.open || !facts.journal_available(shard.journal)) continue;
                held_[shard.journal][id].push_back(shard.id);
            }
            names_[id] = stream.row.name;
        }
    }

    std::vector<Move> run() {
        if (spread_.empty()) return {};
        while (moves_.size() < moves_max_ && (even_cores() || even_journals())) {
        }
        return std::move(moves_);
    }

  private:
    using Load = Placement::Load;

    /// One from the fullest journal of the fullest core to the emptiest of the emptiest core, if that is a gain.
    bool even_cores() {
        std::map<CoreIndex, uint64_t> cores;
        for (const Load& each : spread_.journals_) cores[each.core] += each.shard_count;
        const auto by_count = [](const auto& a, const auto& b) { return a.second < b.second; };
        const auto fullest = std::max_element(cores.begin(), cores.end(), by_count);
        const auto emptiest = std::min_element(cores.begin(), cores.end(), by_count);
        if (fullest->second < emptiest->second + 2) return false;
        return take_from_core(fullest->first, spread_.least());
    }

    bool take_from_core(CoreIndex core, Load& to) {
        std::vector<Load*> journals;
        for (Load& each : spread_.journals_) {
            if (each.core == core) journals.push_back(&each);
        }
        std::stable_sort(journals.begin(), journals.end(),
                         [](const Load* a, const Load* b) { return a->shard_count > b->shard_count; });
        return std::any_of(journals.begin(), journals.end(), [&](Load* from) {
            if (!move(from->journal, to)) return false;
            --from->shard_count;
            return true;
        });
    }

    /// The same between the journals of one core.
    bool even_journals() {
        for (Load& from : spread_.journals_) {
            for (Load& to : spread_.journals_) {
                if (from.core != to.core || from.shard_count < to.shard_count + 2) continue;
                if (!move(from.journal, to)) continue;
                --from.shard_count;
                return true;
            }
        }
        return false;
    }

    /// Moves the shard whose stream has most to gain. False: none may go.
    bool move(JournalId from, Load& to) {
        auto& streams = held_[from];
        auto best = streams.end();
        int64_t best_gain = INT64_MIN;
        for (auto each = streams.begin(); each != streams.end(); ++each) {
            if (each->second.empty()) continue;
            const auto there = arrived_.find({to.journal, each->first});
            const auto& held_there = held_[to.journal];
            const auto resident = held_there.find(each->first);
            const size_t at_target = (there == arrived_.end() ? 0 : there->second) +
                                     (resident == held_there.end() ? 0 : resident->second.size());
            const int64_t gain = static_cast<int64_t>(each->second.size()) - static_cast<int64_t>(at_target);
            if (gain <= best_gain) continue;
            best_gain = gain;
            best = each;
        }
        if (best == streams.end()) return false;
        moves_.push_back({names_[best->first], best->second.back(), from, to.journal});
        best->second.pop_back();
        ++arrived_[{to.journal, best->first}];
        ++to.shard_count;
        return true;
    }

    Placement spread_;
    size_t moves_max_;
    std::map<JournalId, std::map<StreamId, std::vector<ShardId>>> held_;  // What may still be moved, where it is.
    std::map<std::pair<JournalId, StreamId>, size_t> arrived_;            // What was moved stays where it came to.
    std::map<StreamId, std::string> names_;
    std::vector<Move> moves_;
};

std::vector<Move> plan_rebalance(const StreamTable& table, const Facts& facts, size_t moves_max) {
    return Rebalancing(table, facts, moves_max).run();
}

}  // namespace eagre::streams
