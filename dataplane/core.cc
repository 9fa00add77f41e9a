#include "dataplane/core.h"

#include <algorithm>

#include "wire/base/assert.h"
#include "wire/identity/box_key.h"

namespace eagre {
Core::Core(Box& box, CoreIndex index, io::Io io)
    : box_(box),
      index_(index),
      io_(io),
      stats_(shm::core_stats(box.board, index.value)),
      waiter_(box.options.wait),
      prng_(io.seed + index.value),
      gate_(box.options.auth, index.value, box.nonce_seed, box.keys, identity::box_key(box.master_key)),
      producers_(box.options.journal.producer_state_count_max, box.options.journal.producer_idle_ns_max),
      handed_over_(box.core_count, 0),
      wake_(box.core_count, false) {
    box_.events[index.value] = &io_.events;
    shards_.reserve(box.options.journal.shard_count_max);
    locates_.reserve(kLocatePendingMax);
    for (uint32_t slot = box.options.stats_shard_capacity; slot > 0; --slot) free_stats_slots_.push_back(slot - 1);
}

Core::~Core() {
    // Nobody is left to be told. The last users of journals and connections go first.
    control_outlet_ = {};
    relay_ = {};
    if (sessions_ != nullptr) sessions_->close_all();
    fanout_.reset();
    for (auto& entry : box_.events) {
        if (entry == &io_.events) entry = nullptr;
    }
}

Result<std::unique_ptr<Core>> Core::create(Box& box, CoreIndex index, io::Io io) {
    std::unique_ptr<Core> core(new Core(box, index, io));
    auto sessions = ingress::Sessions::create(io.connections, *core, *core->stats_);
    if (!sessions) return sessions.error();
    core->sessions_ = std::move(*sessions);
    core->door_ = std::make_unique<ingress::DatagramDoor>(io.datagrams, *core->sessions_, *core, *core->stats_);
    core->feeds_ = std::make_unique<feed::Feeds>(io.datagrams, *core, std::span(core->stats_->feeds), core->prng_.next());
    core->fanout_ = std::make_unique<fanout::Fanout>(*core, io.connections, *core->stats_);

    for (uint32_t id = 0; id < box.journal_count; ++id) {
        if (box.core_of(JournalId{id}) != index || !box.journal_available[id]) continue;
        journal::JournalOptions options = box.options.journal;
        options.id = JournalId{id};
        options.box_id_high = box.box_id_high;
        options.box_id_low = box.box_id_low;
        options.directory = journal_directory_name(id);
        options.budget = &box.store;
        io::Io journal_io = io.in_directory(box.journal_directory[id]);
        auto journal = journal::Journal::open(journal_io, options);
        if (!journal) return journal.error();
        auto slot = std::make_unique<JournalSlot>(
            JournalSlot{JournalId{id}, std::move(*journal), ack::AckQueue(box.options.ack_queue_count), 0, false});
        core->reports_.push_back(slot->journal->recovery());
        for (const journal::ShardFacts& facts : slot->journal->recovered_shards()) {
            if (!facts.deleted) core->adopt(facts, *slot->journal);
        }
        for (const journal::ProducerFacts& facts : slot->journal->recovered_producers()) {
            core->producers_.restore(facts);
            core->recovered_feeds_.take(JournalId{id}, facts);
        }
        core->journals_.push_back(std::move(slot));
    }
    return core;
}

shard::Shard& Core::adopt(const journal::ShardFacts& facts, journal::Journal& journal) {
    auto& place = shards_[facts.shard];
    EAGRE_ASSERT(place == nullptr);
    place = std::make_unique<shard::Shard>();
    place->facts = facts;
    place->journal = &journal;
    place->appended = facts.next_sequence;
    place->durable = facts.next_sequence;
    place->last_arrival_ns = facts.last_arrival_ns;
    place->stats = take_stats_slot(facts);
    place->quota.set(facts.quota_bytes_per_s, facts.quota_records_per_s);
    return *place;
}

shm::ShardStats* Core::take_stats_slot(const journal::ShardFacts& facts) {
    shm::ShardStats* slot = &spare_shard_stats_;
    if (!free_stats_slots_.empty()) {
        slot = shm::shard_stats(box_.board, index_.value, free_stats_slots_.back());
        free_stats_slots_.pop_back();
    }
    *slot = shm::ShardStats{};
    slot->stream = facts.stream.value;
    slot->appended_sequence = facts.next_sequence.value;
    slot->durable_sequence = facts.next_sequence.value;
    slot->trim_horizon = facts.trim_horizon.value;
    slot->last_arrival_ns = facts.last_arrival_ns;
    slot->open = facts.open ? 1 : 0;
    facts.stream_name.copy(slot->stream_name, sizeof(slot->stream_name) - 1);
    slot->shard = facts.shard.value;
    return slot;
}

std::vector<shard::StreamEntry> Core::recovered_streams() const {
    std::vector<shard::StreamEntry> streams;
    std::vector<const shard::Shard*> ordered;
    for (const auto& [id, shard] : shards_) ordered.push_back(shard.get());
    std::sort(ordered.begin(), ordered.end(), [](const auto* a, const auto* b) { return a->facts.shard < b->facts.shard; });
    for (const shard::Shard* shard : ordered) {
        shard::ShardEntry entry;
        const journal::ShardFacts& facts = shard->facts;
        entry.id = facts.shard;
        entry.range = facts.range;
        entry.parent = facts.parent;
        entry.adjacent_parent = facts.adjacent_parent;
        entry.first_sequence = facts.first_sequence;
        entry.opened_ns = facts.opened_ns;
        entry.ordinal = facts.ordinal;
        entry.core = index_;
        entry.open = facts.open;
        entry.stats = shard->stats == &spare_shard_stats_ ? nullptr : shard->stats;
        for (const auto& slot : journals_) {
            if (slot->journal.get() == shard->journal) entry.journal = slot->id;
        }
        entry_for(streams, facts)->shards.push_back(entry);
    }
    return streams;
}

// The stream's own facts stand in each of its shards; the newest map version wins.
shard::StreamEntry* Core::entry_for(std::vector<shard::StreamEntry>& streams, const journal::ShardFacts& facts) const {
    auto at = std::find_if(streams.begin(), streams.end(), [&](const auto& stream) { return stream.id == facts.stream; });
    if (at == streams.end()) {
        at = streams.insert(streams.end(), shard::StreamEntry{});
        at->id = facts.stream;
    }
    if (facts.map_version >= at->map_version) {
        at->name = facts.stream_name;
        at->map_version = facts.map_version;
        at->retention_ms = facts.retention_ms;
        at->record_bytes_max = facts.record_bytes_max;
        at->retention_bytes = facts.retention_bytes;
        at->quota_bytes_per_s = facts.quota_bytes_per_s;
        at->quota_records_per_s = facts.quota_records_per_s;
        at->created_ns = facts.stream_created_ns;
    }
    return &*at;
}

uint64_t Core::incarnation() const {
    uint64_t highest = 0;
    for (const auto& report : reports_) highest = std::max(highest, report.incarnation);
    return highest;
}

uint64_t Core::recovered_epoch() const {
    uint64_t highest = 0;
    for (const auto& [id, shard] : shards_) highest = std::max(highest, shard->facts.epoch);
    return highest;
}

void Core::start(const Recovered& recovered) {
    for (const shard::StreamEntry& stream : recovered.streams) {
        auto entry = std::make_shared<shard::StreamEntry>(stream);
        entry->index();
        directory_.put(std::move(entry));
    }
    stream_id_max_ = recovered.stream_id_max;
    shard_id_max_ = recovered.shard_id_max;
    epoch_ = recovered.epoch;
    now_ns_ = io_.clock.monotonic_ns();
    wall_ns_ = io_.clock.wall_ns();
    retention_clock_ = std::make_unique<shard::RetentionClock>(recovered.last_arrival_ns, wall_ns_, now_ns_);
    for (auto& slot : journals_) slot->journal->release_recovered();
    start_feeds(recovered.fed);
}

Status Core::listen() {
    const uint16_t wanted = box_.options.port;
    const auto port = wanted == 0 ? uint16_t{0} : static_cast<uint16_t>(wanted + index_.value);
    const auto listener = io_.connections.listen(box_.options.listen, port);
    if (!listener) return listener.error();
    listeners_.push_back(*listener);
    const uint16_t actual = io_.connections.port_of(*listener);
    box_.ports[index_.value] = actual;
    const std::string& address = box_.options.nics.empty() ? box_.options.listen : box_.options.nic_address;
    const Status datagrams = door_->open(address, actual, box_.datagram_secret);
    // A port that the system has picked for TCP may be taken for UDP: then this core goes without, and says so in its hello.
    if (!datagrams && (wanted != 0 || datagrams.error().code != Errc::kPortInUse)) return datagrams.error();
    return {};
}

Status Core::listen_control(const std::string& path) {
    const auto listener = io_.connections.listen_unix(path);
    if (!listener) return listener.error();
    control_listener_ = *listener;
    return {};
}

reactor::Outlet* Core::outlet(reactor::OutletId id) {
    ingress::Session* session = sessions_->find(id);
    if (session == nullptr) return nullptr;
    sessions_->mark_dirty(*session);
    return &session->outlet;
}

shard::Shard* Core::shard(ShardId id) {
    const auto found = shards_.find(id);
    return found == shards_.end() ? nullptr : found->second.get();
}

void Core::drop(reactor::OutletId id) {
    if (ingress::Session* session = sessions_->find(id)) sessions_->close(*session);
}

void Core::on_closed(ingress::Session& session) {
    fanout_->close_all(session.id);
    door_->close(session);
    if (session.id == control_outlet_) detach_control();
}

Core::JournalSlot* Core::slot_of(const journal::Journal* journal) {
    for (auto& slot : journals_) {
        if (slot->journal.get() == journal) return slot.get();
    }
    return nullptr;
}

void Core::run() {
    while (!box_.stop.load(std::memory_order_relaxed)) turn();
    // Whatever was received is brought to durability and answered; bounded, as a client could keep us for ever.
    stopping_ = true;
    feeds_->stop(feed_now());
    const uint64_t deadline_ns = io_.clock.monotonic_ns() + 2'000'000'000ULL;
    while (!stop_turning() && io_.clock.monotonic_ns() < deadline_ns) turn();
}

bool Core::stop_turning() const {
    return feeds_->settled() && std::all_of(journals_.begin(), journals_.end(), [](const auto& slot) {
        return slot->acks.empty() && (!slot->journal->busy() || slot->journal->failed());
    });
}

Status Core::close() {
    // Nobody is left to be told.
    control_outlet_ = {};
    relay_ = {};
    sessions_->close_all();
    keep_map(true);
    Status status;
    for (auto& slot : journals_) {
        const Status closed = slot->journal->close();
        if (!closed && status) status = closed.error();
    }
    return status;
}

}  // namespace eagre
