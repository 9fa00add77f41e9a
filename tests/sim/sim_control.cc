#include "tests/sim/sim_control.h"

#include <optional>
#include <span>

#include "control/catalog/sqlite_catalog.h"
#include "control/frames/frame_pipe.h"
#include "control/log/log.h"
#include "control/streams/hash_ranges.h"
#include "control/streams/reshard.h"
#include "wire/base/assert.h"
#include "wire/schema/admin_generated.h"

namespace eagre::test {
namespace {

constexpr uint64_t kAnswerNsMax = 20'000'000'000;
constexpr size_t kShardCountMax = 40;   // Closed ones included: a journal of the simulator has 64.
constexpr uint64_t kOpenCountMax = 6;
constexpr int kAskTurnsMax = 50;

}  // namespace

struct SimControl::Asker {
    explicit Asker(io::sim::SimWorld& world) : transport(world) {}
    SimTransport transport;
    std::unique_ptr<frames::FramePipe> frames;
};

SimControl::SimControl(io::sim::SimWorld& world) : world_(world) {
    log::set_level(log::Level::kOff);
    auto catalog = catalog::open_sqlite_catalog(":memory:", 1);
    EAGRE_ASSERT(catalog.has_value());
    catalog_ = std::move(*catalog);
}

SimControl::~SimControl() {
    kill();
}

void SimControl::start() {
    transport_ = std::make_unique<SimTransport>(world_);
    transport_->listen_unix(kControlSocket);
    door_ = std::make_unique<Door>(*transport_);
    control::ControllerOptions options;
    options.channel.address = "unix:sim/eagred.sock";
    auto controller = control::Controller::open(*catalog_, *transport_, *door_, options);
    EAGRE_ASSERT(controller.has_value());
    controller_ = std::move(*controller);
    actor_ = world_.add_actor([this] { controller_->poll(0); });
}

void SimControl::kill() {
    asker_.reset();
    if (controller_ == nullptr) return;
    world_.remove_actor(actor_);
    controller_.reset();
    door_.reset();
    transport_.reset();
}

bool SimControl::reshard_some(const std::string& name, Prng& prng) {
    if (!ready()) return false;
    const streams::Stream* stream = controller_->table().find(name);
    if (stream == nullptr || stream->shards.size() > kShardCountMax) return false;
    const auto open = streams::open_shards(*stream);
    if (open.empty()) return false;
    flatbuffers::FlatBufferBuilder builder;
    const auto text = builder.CreateString(name);
    std::vector<uint64_t> shards;
    wire::AdminOp op = wire::AdminOp::ScaleStream;
    const uint64_t what = prng.below(5);
    const size_t at = prng.below(open.size());
    if (what <= 1 && open.size() < kOpenCountMax) {
        op = wire::AdminOp::SplitShard;
        shards = {open[at].id.value};
    } else if (what <= 3 && at + 1 < open.size()) {
        op = wire::AdminOp::MergeShards;
        shards = {open[at].id.value, open[at + 1].id.value};
    }
    const auto ids = builder.CreateVector(shards);
    const auto count = static_cast<uint32_t>(1 + prng.below(kOpenCountMax));
    wire::AdminRequestBuilder request(builder);
    request.add_op(op);
    request.add_name(text);
    request.add_shard_count(count);
    request.add_shards(ids);
    builder.Finish(request.Finish());
    asker_ = std::make_unique<Asker>(world_);
    const auto pipe = asker_->transport.connect(std::string("unix:") + kControlSocket, 0);
    if (!pipe) return false;
    asker_->frames = std::make_unique<frames::FramePipe>(asker_->transport, *pipe, frames::PipeLimits{});
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kCommand;
    header.correlation = 1;
    const Status queued = asker_->frames->send(header, std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
    if (!queued) return false;
    // A connection takes a while to be there; nobody but us hands on what waits for it.
    for (int turn = 0; turn < kAskTurnsMax && asker_->frames->flush() && !asker_->frames->all_sent(); ++turn) world_.turn();
    return asker_->frames->all_sent();
}

std::vector<std::pair<ShardId, ShardId>> SimControl::parents(const std::string& name) const {
    std::vector<std::pair<ShardId, ShardId>> pairs;
    const streams::Stream* stream = controller_ == nullptr ? nullptr : controller_->table().find(name);
    if (stream == nullptr) return pairs;
    for (const catalog::ShardRow& row : stream->shards) {
        for (const ShardId parent : {row.parent, row.adjacent_parent}) {
            if (parent.value != 0) pairs.emplace_back(row.id, parent);
        }
    }
    return pairs;
}

bool SimControl::settled(const std::string& name) const {
    const streams::Stream* stream = controller_ == nullptr ? nullptr : controller_->table().find(name);
    if (stream == nullptr || stream->row.state != catalog::StreamState::kActive || stream->row.scale_target != 0) return false;
    std::vector<HashKeyRange> ranges;
    for (const catalog::ShardRow& row : streams::open_shards(*stream)) ranges.push_back(row.range);
    return streams::find_holes(std::move(ranges)).empty();
}

Status SimControl::create_stream(const std::string& name, uint32_t shard_count) {
    SimTransport transport(world_);
    const auto pipe = transport.connect(std::string("unix:") + kControlSocket, 0);
    if (!pipe) return pipe.error();
    frames::FramePipe frames(transport, *pipe, frames::PipeLimits{});
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(wire::CreateAdminRequest(builder, wire::AdminOp::CreateStream,
                                            builder.CreateString(name), shard_count));
    frame::FrameHeader header;
    header.kind = frame::FrameKind::kCommand;
    header.correlation = 1;
    const Status queued = frames.send(
        header, std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
    if (!queued) return queued;
    Status status = Errc::kTimeout;
    world_.run_until(
        [&] {
            if (const Status flushed = frames.flush(); !flushed) {
                status = flushed;
                return true;
            }
            const auto answer = frames.receive();
            if (!answer) {
                status = answer.error();
                return true;
            }
            if (!answer->has_value()) return false;
            const Errc code = frame::errc_of((**answer).header);
            status =
                code == Errc::kOk ? Status{} : Status(error_of(code, (**answer).header.detail));
            return true;
        },
        kAnswerNsMax);
    return status;
}

}  // namespace eagre::test
