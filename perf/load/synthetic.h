#pragma once
// Records of one size with uniformly drawn keys: the load of `eagre bench`. Data is random bytes
// from a seeded pool.

#include <cstdint>
#include <string>
#include <vector>

#include "perf/load/record_source.h"
#include "wire/base/prng.h"

namespace eagre::load {

struct SyntheticOptions {
    uint64_t seed = 1;
    uint32_t record_bytes = 256;  // Data only; at least 8.
    uint32_t key_count = 1000;
};

/// Endless. Each record begins with its number, so that no two are alike.
class SyntheticSource final : public RecordSource {
  public:
    explicit SyntheticSource(const SyntheticOptions& options);
    std::optional<frame::RecordView> next() override;
    void rewind() override;
    std::string description() const override;

  private:
    SyntheticOptions options_;
    Prng prng_;
    uint64_t number_ = 0;
    std::vector<std::string> keys_;
    std::vector<std::byte> pool_;
    std::vector<std::byte> data_;
};

}  // namespace eagre::load
