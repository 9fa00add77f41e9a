#pragma once
// The quota of a shard: so many bytes and records a second, with a second's worth saved up at most. A batch goes when
// something is left, whatever its size, and what it takes too much the next ones wait for: so a batch that is larger than a
// second's worth is late, never stuck, and the rate holds in the long run.

#include <algorithm>
#include <cstdint>

namespace eagre::shard {

/// What may be saved up while nothing comes, in time.
inline constexpr uint64_t kQuotaBurstNs = 1'000'000'000ULL;

class Quota {
  public:
    /// Per second; 0: unlimited. A limit that stays keeps its account.
    void set(uint64_t bytes_per_s, uint64_t records_per_s) {
        bytes_.set(bytes_per_s);
        records_.set(records_per_s);
    }
    bool limited() const { return bytes_.per_s != 0 || records_.per_s != 0; }
    /// How long the next batch has to wait, monotonic ns; 0: it may go.
    uint64_t wait_ns(uint64_t now_ns) const {
        const uint64_t even_ns = std::max(bytes_.even_ns, records_.even_ns);
        return even_ns < now_ns ? 0 : even_ns - now_ns + 1;
    }
    void take(uint64_t bytes, uint64_t records, uint64_t now_ns) {
        bytes_.take(bytes, now_ns);
        records_.take(records, now_ns);
    }

  private:
    struct Account {
        uint64_t per_s = 0;
        uint64_t even_ns = 0;  // When nothing is saved and nothing owed. Behind now: the difference is saved.
        void set(uint64_t wanted_per_s) {
            if (wanted_per_s != per_s) even_ns = 0;
            per_s = wanted_per_s;
        }
        void take(uint64_t count, uint64_t now_ns) {
            if (per_s == 0) return;
            // count is at most a frame's bytes, so the product stays below 2^54.
            even_ns = std::max(even_ns, now_ns - std::min(now_ns, kQuotaBurstNs)) + count * 1'000'000'000ULL / per_s;
        }
    };
    Account bytes_;
    Account records_;
};

}  // namespace eagre::shard
