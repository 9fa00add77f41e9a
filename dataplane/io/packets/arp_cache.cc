#include "dataplane/io/packets/arp_cache.h"

namespace eagre::io::packets {

ArpCache::Entry* ArpCache::look(Ip4 ip) {
    for (size_t probe = 0; probe < kProbes; ++probe) {
        Entry& entry = entries_[slot(ip, probe)];
        if (entry.ip == ip) return &entry;
    }
    return nullptr;
}

// An empty one of its few places, else that which nobody has used for longest.
ArpCache::Entry& ArpCache::place_for(Ip4 ip) {
    Entry* oldest = &entries_[slot(ip, 0)];
    for (size_t probe = 0; probe < kProbes; ++probe) {
        Entry& entry = entries_[slot(ip, probe)];
        if (entry.ip.value == 0) {
            oldest = &entry;
            break;
        }
        if (entry.used_ns < oldest->used_ns) oldest = &entry;
    }
    *oldest = Entry{};
    oldest->ip = ip;
    return *oldest;
}

void ArpCache::learn(Ip4 ip, const Mac& mac, uint64_t now_ns, bool insert) {
    if (ip.value == 0 || is_group(ip) || is_group_mac(mac)) return;
    Entry* entry = look(ip);
    if (entry == nullptr) {
        if (!insert) return;
        entry = &place_for(ip);
        entry->used_ns = now_ns;
    }
    entry->mac = mac;
    entry->known = true;
    entry->learnt_ns = now_ns;
}

ArpCache::Answer ArpCache::find(Ip4 ip, uint64_t now_ns) {
    if (ip.value == 0 || is_group(ip)) return {};
    Entry* entry = look(ip);
    if (entry == nullptr) entry = &place_for(ip);
    entry->used_ns = now_ns;
    Answer answer;
    const uint64_t age_ns = now_ns - entry->learnt_ns;
    if (entry->known && age_ns <= kGoodNs) answer.mac = &entry->mac;
    if ((!entry->known || age_ns > kFreshNs) && (entry->asked_ns == 0 || now_ns - entry->asked_ns >= kAskAgainNs)) {
        entry->asked_ns = now_ns;
        answer.ask = true;
    }
    return answer;
}

}  // namespace eagre::io::packets
