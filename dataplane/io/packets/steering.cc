#include "dataplane/io/packets/steering.h"

#include <algorithm>
#include <tuple>

namespace eagre::io::packets {

Status SteerBook::claim(const Claim& claim) {
    const std::lock_guard lock(mutex_);
    if (!is_group(claim.to)) {
        for (const Claim& each : claims_) {
            if (each.to == claim.to && each.port == claim.port) return error_of(Errc::kPortInUse, claim.port);
        }
    }
    claims_.push_back(claim);
    generation_.fetch_add(1, std::memory_order_release);
    return {};
}

void SteerBook::drop(uint32_t core, uint32_t inlet) {
    const std::lock_guard lock(mutex_);
    if (std::erase_if(claims_, [&](const Claim& each) { return each.core == core && each.inlet == inlet; }) == 0) return;
    generation_.fetch_add(1, std::memory_order_release);
}

bool SteerBook::wanted(Ip4 group, Ip4 source) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(claims_.begin(), claims_.end(), [&](const Claim& each) { return each.to == group && each.source == source; });
}

std::vector<Ip4> SteerBook::groups() const {
    const std::lock_guard lock(mutex_);
    std::vector<Ip4> groups;
    for (const Claim& each : claims_) {
        if (is_group(each.to)) groups.push_back(each.to);
    }
    std::sort(groups.begin(), groups.end());
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    return groups;
}

std::vector<Claim> SteerBook::claims(uint64_t& generation) const {
    const std::lock_guard lock(mutex_);
    generation = generation_.load(std::memory_order_relaxed);
    return claims_;
}

void SteerTable::rebuild(std::vector<Claim> claims) {
    claims_ = std::move(claims);
    std::sort(claims_.begin(), claims_.end(), [](const Claim& a, const Claim& b) {
        return std::tuple(a.to, a.port, a.core, a.inlet) < std::tuple(b.to, b.port, b.core, b.inlet);
    });
    size_t size = 16;
    while (size < claims_.size() * 2) size *= 2;
    slots_.assign(size, Slot{});
    for (uint32_t i = 0; i < claims_.size(); ++i) {
        const uint64_t key = key_of(claims_[i].to, claims_[i].port);
        size_t at = hash(key) & (size - 1);
        while (slots_[at].key != 0 && slots_[at].key != key) at = (at + 1) & (size - 1);
        if (slots_[at].key == 0) slots_[at] = {key, i, 0};
        ++slots_[at].count;
    }
}

std::span<const Claim> SteerTable::find(Ip4 to, uint16_t port) const {
    if (slots_.empty()) return {};
    const uint64_t key = key_of(to, port);
    size_t at = hash(key) & (slots_.size() - 1);
    while (slots_[at].key != 0) {
        if (slots_[at].key == key) return std::span(claims_).subspan(slots_[at].first, slots_[at].count);
        at = (at + 1) & (slots_.size() - 1);
    }
    return {};
}

}  // namespace eagre::io::packets
