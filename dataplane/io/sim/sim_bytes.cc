#include "dataplane/io/sim/sim_bytes.h"

#include <algorithm>
#include <cstring>

namespace eagre::io::sim {

void SimBytes::read(uint64_t offset_bytes, std::span<std::byte> target) const {
    while (!target.empty()) {
        const uint64_t in_page = offset_bytes % kPageBytes;
        const size_t count = std::min<size_t>(target.size(), kPageBytes - in_page);
        const auto page = pages_.find(offset_bytes / kPageBytes);
        if (page == pages_.end()) {
            std::memset(target.data(), 0, count);
        } else {
            std::memcpy(target.data(), page->second.data() + in_page, count);
        }
        target = target.subspan(count);
        offset_bytes += count;
    }
}

void SimBytes::write(uint64_t offset_bytes, std::span<const std::byte> source) {
    while (!source.empty()) {
        const uint64_t in_page = offset_bytes % kPageBytes;
        const size_t count = std::min<size_t>(source.size(), kPageBytes - in_page);
        const std::span<const std::byte> part = source.first(count);
        auto page = pages_.find(offset_bytes / kPageBytes);
        const bool zero =
            std::all_of(part.begin(), part.end(), [](std::byte b) { return b == std::byte{0}; });
        // Zeros over a whole page, or over a page that is not there, leave no page: preparing
        // segments stays free.
        if (zero && count == kPageBytes) {
            if (page != pages_.end()) pages_.erase(page);
        } else if (!(zero && page == pages_.end())) {
            if (page == pages_.end())
                page = pages_.emplace(offset_bytes / kPageBytes, Page{}).first;
            std::memcpy(page->second.data() + in_page, part.data(), count);
        }
        source = source.subspan(count);
        offset_bytes += count;
    }
}

}  // namespace eagre::io::sim
