#include "dataplane/journal/run_index.h"

#include <algorithm>

#include "wire/base/assert.h"

namespace eagre::journal {

RunIndex::RunIndex(uint32_t count)
    : entries_(make_raw_array<RunIndexEntry>(std::max(count, 2U))),
      capacity_(std::max(count, 2U)) {}

uint64_t RunIndex::back(uint64_t serial, uint32_t distance) const {
    if (distance == 0 || distance >= serial) return 0;
    const uint64_t target = serial - distance;
    return holds(target) ? target : 0;
}

uint64_t RunIndex::add(const Run& run, uint64_t last) {
    const uint64_t serial = next_serial_;
    EAGRE_ASSERT_LT(last, serial);
    RunIndexEntry added{
        run.position, run.first_sequence, run.record_count, run.shard_slot, 0, 0, 0, 0};
    // The slot that is about to be overwritten must not be followed.
    const bool linked = last != 0 && serial - last < capacity_;
    if (linked) {
        RunIndexEntry& before = entry(last);
        const auto distance = static_cast<uint32_t>(serial - last);
        before.next = distance;
        added.previous = distance;
        added.jump = distance;
        added.depth = before.depth + 1;
        const uint64_t jump = back(last, before.jump);
        if (jump != 0 && serial - jump < capacity_) {
            const RunIndexEntry& middle = at(jump);
            const uint64_t far = back(jump, middle.jump);
            if (far != 0 && serial - far < capacity_ &&
                before.depth - middle.depth == middle.depth - at(far).depth) {
                added.jump = static_cast<uint32_t>(serial - far);
            }
        }
    }
    entry(serial) = added;
    next_serial_ = serial + 1;
    return serial;
}

uint64_t RunIndex::next_of(uint64_t serial) const {
    if (!holds(serial)) return 0;
    const uint32_t distance = at(serial).next;
    return distance == 0 ? 0 : serial + distance;
}

uint64_t RunIndex::find(const Seek& seek) const {
    const auto usable = [&](uint64_t serial) {
        return serial != 0 && at(serial).position >= seek.oldest_position;
    };
    uint64_t serial = holds(seek.last) ? seek.last : 0;
    if (!usable(serial)) return 0;
    // Invariant: `serial` is usable. Go back as long as the run there begins behind the sequence
    // sought.
    while (at(serial).first_sequence > seek.sequence) {
        const uint64_t jump = back(serial, at(serial).jump);
        const uint64_t previous = back(serial, at(serial).previous);
        if (usable(jump) && at(jump).first_sequence >= seek.sequence) {
            serial = jump;
        } else if (usable(previous)) {
            const RunIndexEntry& before = at(previous);
            if (before.first_sequence + before.record_count <= seek.sequence)
                return serial;  // A gap: damage.
            serial = previous;
        } else {
            return 0;
        }
    }
    return at(serial).first_sequence + at(serial).record_count > seek.sequence ? serial : 0;
}

}  // namespace eagre::journal
