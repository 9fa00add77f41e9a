#include "perf/load/synthetic.h"

#include <cstring>
#include <stdexcept>

namespace eagre::load {
namespace {
constexpr size_t kPoolBytes = 64 * 1024;  // Stays in the L2 cache beside the batch being built.
}

SyntheticSource::SyntheticSource(const SyntheticOptions& options)
    : options_(options), prng_(options.seed) {
    if (options_.record_bytes < sizeof(number_))
        throw std::runtime_error("a record has at least 8 bytes");
    if (options_.record_bytes > kRecordDataBytesMax)
        throw std::runtime_error("a record has at most 10 MiB");
    if (options_.key_count == 0) throw std::runtime_error("at least one key is needed");
    keys_.reserve(options_.key_count);
    for (uint32_t i = 0; i < options_.key_count; ++i) keys_.push_back("key-" + std::to_string(i));
    pool_.resize(kPoolBytes + options_.record_bytes);
    Prng bytes(options_.seed ^ 0xB17E5);
    for (auto& byte : pool_) byte = static_cast<std::byte>(bytes.next());
    data_.resize(options_.record_bytes);
}

std::optional<frame::RecordView> SyntheticSource::next() {
    const uint64_t draw = prng_.next();
    std::memcpy(data_.data(), &number_, sizeof(number_));
    std::memcpy(data_.data() + sizeof(number_), pool_.data() + draw % kPoolBytes,
                data_.size() - sizeof(number_));
    ++number_;
    frame::RecordView record;
    record.partition_key = keys_[prng_.below(keys_.size())];
    record.data = data_;
    return record;
}

void SyntheticSource::rewind() {
    prng_ = Prng(options_.seed);
    number_ = 0;
}

std::string SyntheticSource::description() const {
    return "random records of " + std::to_string(options_.record_bytes) + " bytes, " +
           std::to_string(options_.key_count) + " keys";
}

}  // namespace eagre::load
