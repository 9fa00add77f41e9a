#include "wire/client/client_impl.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "wire/base/assert.h"
#include "wire/schema/request_generated.h"

namespace eagre::client {

using frame::FrameHeader;
using frame::FrameKind;

namespace {

constexpr uint64_t kRefreshLostNs = 1'000'000'000ULL;  // A refresh that is not answered by then is asked again.

}  // namespace

StreamDescription describe_stream_info(const wire::StreamInfo& info) {
    StreamDescription stream;
    stream.id = StreamId{info.id()};
    if (info.name() != nullptr) stream.name = info.name()->str();
    stream.map_version = info.map_version();
    stream.retention_ms = info.retention_ms();
    stream.record_bytes_max = info.record_bytes_max();
    stream.created_ns = info.created_ns();
    stream.shard_count = info.shard_count();
    stream.retention_bytes = info.retention_bytes();
    stream.quota_bytes_per_s = info.quota_bytes_per_s();
    stream.quota_records_per_s = info.quota_records_per_s();
    stream.stored_bytes = info.stored_bytes();
    stream.state = static_cast<StreamState>(info.state());
    stream.scale_target = info.scale_target();
    if (info.tags() != nullptr) {
        for (const wire::Tag* tag : *info.tags()) {
            if (tag->key() == nullptr) continue;
            stream.tags.emplace_back(tag->key()->str(), tag->value() == nullptr ? std::string() : tag->value()->str());
        }
    }
    if (info.shards() == nullptr) return stream;
    stream.shard_count = std::max(stream.shard_count, info.shards()->size());
    for (const wire::ShardInfo* each : *info.shards()) {
        ShardDescription shard;
        shard.id = ShardId{each->id()};
        shard.range = {{each->starting_hash_high(), each->starting_hash_low()}, {each->ending_hash_high(), each->ending_hash_low()}};
        shard.parent = ShardId{each->parent()};
        shard.adjacent_parent = ShardId{each->adjacent_parent()};
        shard.open = each->open();
        shard.available = each->available();
        shard.journal = each->journal();
        shard.core = each->core();
        shard.port = each->port();
        shard.trim_horizon = SequenceNumber{each->trim_horizon()};
        shard.next_sequence = SequenceNumber{each->next_sequence()};
        shard.first_sequence = SequenceNumber{each->first_sequence()};
        shard.opened_ns = each->opened_ns();
        shard.ordinal = each->ordinal();
        stream.shards.push_back(shard);
    }
    std::sort(stream.shards.begin(), stream.shards.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
    return stream;
}

std::vector<std::byte> metadata_request(std::string_view stream) {
    flatbuffers::FlatBufferBuilder builder;
    const auto name = builder.CreateString(stream.data(), stream.size());
    wire::MetadataRequestBuilder request(builder);
    request.add_stream_name(name);
    builder.Finish(request.Finish());
    std::vector<std::byte> payload(std::max<size_t>(16, (builder.GetSize() + 7) / 8 * 8));
    std::memcpy(payload.data(), builder.GetBufferPointer(), builder.GetSize());
    return payload;
}

Result<std::vector<StreamDescription>> decode_streams(std::span<const std::byte> payload) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
    flatbuffers::Verifier verifier(bytes, payload.size(), 8, kBoxShardCountMax + kBoxStreamCountMax + 8);
    if (payload.size() < 16 || !verifier.VerifyBuffer<wire::MetadataReply>(nullptr)) return Errc::kBadSchema;
    std::vector<StreamDescription> streams;
    const auto* reply = flatbuffers::GetRoot<wire::MetadataReply>(bytes);
    if (reply->streams() != nullptr) {
        for (const wire::StreamInfo* info : *reply->streams()) streams.push_back(describe_stream_info(*info));
    }
    return streams;
}

Result<std::unique_ptr<Client>> Client::connect(std::unique_ptr<Transport> transport, const ClientOptions& options) {
    if (options.tls) transport = make_tls_transport(std::move(transport), *options.tls);
    auto client = std::make_unique<ClientImpl>(std::move(transport), options);
    if (const Status opened = client->open(); !opened) return opened.error();
    return std::unique_ptr<Client>(std::move(client));
}

ClientImpl::ClientImpl(std::unique_ptr<Transport> transport, const ClientOptions& options)
    : transport_(std::move(transport)), options_(options) {}
ClientImpl::~ClientImpl() = default;

Status ClientImpl::open() {
    Connection& first = ensure(0, options_.port);
    const uint64_t deadline = now_ns() + options_.request_timeout_ns;
    if (wait_until(deadline, [&] {
            const Errc last = first.last_error().code;
            return first.ready() || last == Errc::kBadVersion || last == Errc::kBadMagic || last == Errc::kBadArgument ||
                   last == Errc::kUnavailable || last == Errc::kUnauthenticated || last == Errc::kTlsRequired ||
                   last == Errc::kTlsFailed || last == Errc::kBadCertificate;
        }) && first.ready()) {
        return {};
    }
    return first.last_error().code != Errc::kOk ? first.last_error() : error_of(Errc::kTimeout);
}

Connection& ClientImpl::ensure(uint32_t core, uint16_t port) {
    while (connections_.size() <= core) connections_.push_back(nullptr);
    if (connections_[core] == nullptr) {
        connections_[core] = std::make_unique<Connection>(*transport_, *this, options_, core, port);
    }
    return *connections_[core];
}

Connection* ClientImpl::connection(uint32_t core) {
    return core < connections_.size() ? connections_[core].get() : nullptr;
}

uint32_t ClientImpl::core_of_port(uint16_t port) const {
    for (uint32_t core = 0; core < connections_.size(); ++core) {
        if (connections_[core] != nullptr && connections_[core]->port() == port) return core;
    }
    return 0;
}

void ClientImpl::poll(uint64_t timeout_ns) {
    const auto turn = [this] {
        const uint64_t now = now_ns();
        bool moved = false;
        // By index: a callback may add a connection.
        for (size_t core = 0; core < connections_.size(); ++core) {
            if (connections_[core] != nullptr) moved = connections_[core]->poll(now) || moved;
        }
        for (Refresh& refresh : refreshes_) {
            const bool lost = refresh.correlation != 0 && now > refresh.sent_ns + kRefreshLostNs;
            if ((!refresh.wanted && !lost) || now < refresh.not_before_ns || connections_.empty() || !connections_[0]->ready()) continue;
            refresh.wanted = false;
            refresh.correlation = next_correlation(1);
            refresh.sent_ns = now;
            refresh.not_before_ns = now + kRefreshNsMin;
            FrameHeader header;
            header.kind = FrameKind::kMetadata;
            header.correlation = refresh.correlation;
            connections_[0]->push(header, metadata_request(refresh.stream));
            moved = true;
        }
        for (auto& [id, asker] : askers_) moved = asker->on_poll(now) || moved;
        if (moved) {
            // What the askers have just queued goes out at once.
            for (size_t core = 0; core < connections_.size(); ++core) {
                if (connections_[core] != nullptr && connections_[core]->ready()) connections_[core]->poll(now);
            }
        }
        return moved;
    };
    if (turn() || timeout_ns == 0) return;
    const uint64_t now = now_ns();
    uint64_t until = now + timeout_ns;
    for (const auto& connection : connections_) {
        if (connection != nullptr) until = std::min(until, connection->next_timer_ns());
    }
    for (const auto& [id, asker] : askers_) until = std::min(until, asker->next_timer_ns());
    for (const Refresh& refresh : refreshes_) {
        if (refresh.wanted) until = std::min(until, refresh.not_before_ns);
    }
    if (until > now) transport_->wait(until - now);
    turn();
}

void ClientImpl::on_ready(uint32_t core, const std::vector<uint16_t>& ports, uint64_t incarnation) {
    const bool restarted = incarnation_ != 0 && incarnation != incarnation_;
    incarnation_ = incarnation;
    for (uint32_t other = 0; other < ports.size() && other < kCoreCountMax; ++other) {
        Connection& known = ensure(other, ports[other]);
        if (other != core) known.set_port(ports[other]);
    }
    // Started anew with fewer cores: nobody will answer there again, and shards have moved.
    for (size_t gone = std::max<size_t>(1, ports.size()); gone < connections_.size(); ++gone) {
        if (gone == core || connections_[gone] == nullptr) continue;
        connections_[gone]->drop(error_of(Errc::kDisconnected));
        connections_[gone].reset();
    }
    if (restarted) {
        for (const std::string& stream : streams_) refresh(stream);
    }
    for (auto& [id, asker] : askers_) asker->on_ready(core);
}

void ClientImpl::on_lost(uint32_t core, Error why) {
    for (auto& [id, asker] : askers_) asker->on_lost(core, why);
    for (auto& [correlation, pending] : pending_) pending->lost = true;
    for (Refresh& refresh : refreshes_) {
        if (core == 0 && refresh.correlation != 0) refresh.wanted = true;
    }
}

void ClientImpl::on_frame(uint32_t core, const FrameHeader& header, std::span<const std::byte> payload) {
    const uint64_t asker_id = header.correlation >> kAskerShift;
    if (asker_id == 1) {
        on_refreshed(header, payload);
        return;
    }
    if (asker_id == 0) {
        const auto found = pending_.find(header.correlation);
        if (found == pending_.end()) return;
        Pending& pending = *found->second;
        pending.answered = true;
        pending.header = header;
        pending.payload.resize(payload.size() / 8);
        if (!payload.empty()) std::memcpy(pending.payload.data(), payload.data(), payload.size());
        return;
    }
    const auto found = askers_.find(asker_id);
    if (found != askers_.end()) found->second->on_frame(core, header, payload);
}

void ClientImpl::on_refreshed(const FrameHeader& header, std::span<const std::byte> payload) {
    for (Refresh& refresh : refreshes_) {
        if (refresh.correlation != header.correlation) continue;
        refresh.correlation = 0;
        StreamDescription stream;
        stream.name = refresh.stream;
        if (frame::errc_of(header) == Errc::kOk) {
            auto streams = decode_streams(payload);
            if (!streams || streams->empty()) {
                refresh.wanted = true;
                return;
            }
            stream = std::move(streams->front());
        }
        // A deleted stream comes as one without shards.
        const auto askers = askers_;
        for (const auto& [id, asker] : askers) asker->on_map(stream);
        return;
    }
}

uint64_t ClientImpl::enlist(Asker* asker) {
    askers_[next_asker_] = asker;
    return next_asker_++;
}

void ClientImpl::dismiss(uint64_t asker_id) { askers_.erase(asker_id); }

void ClientImpl::refresh(const std::string& stream) {
    for (Refresh& refresh : refreshes_) {
        if (refresh.stream != stream) continue;
        if (refresh.correlation == 0) refresh.wanted = true;
        return;
    }
    Refresh& refresh = refreshes_.emplace_back();
    refresh.stream = stream;
    refresh.wanted = true;
}

Result<ClientImpl::Pending> ClientImpl::ask(uint32_t core, FrameHeader header, std::span<const std::byte> payload,
                                            uint64_t deadline_ns) {
    for (;;) {
        Connection* to = connection(core);
        if (!wait_until(deadline_ns, [&] { return (to = connection(core)) != nullptr && to->ready(); })) {
            const Error last = to != nullptr ? to->last_error() : Error{};
            return last.code != Errc::kOk ? last : error_of(Errc::kTimeout);
        }
        Pending pending;
        header.correlation = next_correlation(0);
        pending_[header.correlation] = &pending;
        to->push(header, payload);
        const bool in_time = wait_until(deadline_ns, [&] { return pending.answered || pending.lost; });
        pending_.erase(header.correlation);
        if (pending.answered) return pending;
        if (!in_time) return Errc::kTimeout;
    }
}

Result<std::vector<StreamDescription>> ClientImpl::metadata(std::string_view stream) {
    FrameHeader header;
    header.kind = FrameKind::kMetadata;
    auto answer = ask(0, header, metadata_request(stream), now_ns() + options_.request_timeout_ns);
    if (!answer) return answer.error();
    if (const Errc code = frame::errc_of(answer->header); code != Errc::kOk) return error_of(code, answer->header.detail);
    return decode_streams(answer->bytes());
}

Result<StreamDescription> ClientImpl::describe(std::string_view stream) {
    if (stream.empty()) return Errc::kBadArgument;
    auto streams = metadata(stream);
    if (!streams) return streams.error();
    if (streams->empty()) return Errc::kUnknownStream;
    return std::move(streams->front());
}

Result<std::vector<StreamDescription>> ClientImpl::list() { return metadata({}); }

Result<SequenceNumber> ClientImpl::locate(ShardId shard, frame::Position position, uint64_t value) {
    FrameHeader header;
    header.kind = FrameKind::kLocate;
    header.flags = static_cast<uint16_t>(position);
    header.shard = shard.value;
    header.sequence = value;
    const uint64_t deadline = now_ns() + options_.request_timeout_ns;
    for (;;) {
        auto answer = ask(0, header, {}, deadline);
        if (!answer) return answer.error();
        const Errc code = frame::errc_of(answer->header);
        if (code == Errc::kOk) return SequenceNumber{answer->header.sequence};
        if (code != Errc::kBusy) return error_of(code, answer->header.detail);
        poll(1'000'000ULL);
    }
}

Result<std::unique_ptr<Producer>> ClientImpl::make_producer(std::string_view stream, const ProducerOptions& options) {
    auto described = describe(stream);
    if (!described) return described.error();
    streams_.insert(described->name);
    return make_producer_impl(*this, *described, options);
}

std::unique_ptr<Producer> ClientImpl::make_producer(const StreamDescription& stream, const ProducerOptions& options) {
    streams_.insert(stream.name);
    return make_producer_impl(*this, stream, options);
}

std::unique_ptr<Consumer> ClientImpl::make_consumer(const StreamDescription& stream, const ConsumerOptions& options) {
    streams_.insert(stream.name);
    return make_consumer_impl(*this, stream, options);
}

Result<std::unique_ptr<Consumer>> ClientImpl::make_consumer(std::string_view stream, const ConsumerOptions& options) {
    auto described = describe(stream);
    if (!described) return described.error();
    for (const ShardId wanted : options.shards) {
        const auto is_wanted = [wanted](const ShardDescription& shard) { return shard.id == wanted; };
        if (std::none_of(described->shards.begin(), described->shards.end(), is_wanted)) {
            return error_of(Errc::kUnknownShard, wanted.value);
        }
    }
    streams_.insert(described->name);
    return make_consumer_impl(*this, *described, options);
}

}  // namespace eagre::client
