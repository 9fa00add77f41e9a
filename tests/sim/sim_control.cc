#include "tests/sim/sim_control.h"

#include <optional>
#include <span>

#include "control/catalog/sqlite_catalog.h"
#include "control/frames/frame_pipe.h"
#include "control/log/log.h"
#include "wire/base/assert.h"
#include "wire/schema/admin_generated.h"

namespace eagre::test {
namespace {

constexpr uint64_t kAnswerNsMax = 20'000'000'000;

}  // namespace

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
    if (controller_ == nullptr) return;
    world_.remove_actor(actor_);
    controller_.reset();
    door_.reset();
    transport_.reset();
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
