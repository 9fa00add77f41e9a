// The client of eagre-control against a control that is played by a thread: what it asks, what it makes of answers, of
// refusals with their words, of nonsense and of silence.
#include "wire/client/control_client.h"

#include <flatbuffers/flatbuffers.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "wire/frame/frame.h"
#include "wire/schema/admin_generated.h"
#include "wire/schema/request_generated.h"

namespace eagre::client {
namespace {

using frame::FrameHeader;
using frame::FrameKind;
using flatbuffers::FlatBufferBuilder;

constexpr uint64_t kTimeoutNs = 2'000'000'000ULL;

/// Serves one connection: says hello, then answers each request as `answer` says.
class FakeControl {
  public:
    /// Fills in the reply; false: says nothing.
    using Answer = std::function<bool(const wire::AdminRequest& request, FlatBufferBuilder& reply)>;

    explicit FakeControl(Answer answer)
        : path_("/tmp/eagre-control-" + std::to_string(::getpid()) + ".sock"), answer_(std::move(answer)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path_.data(), path_.size());
        ::unlink(path_.c_str());
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
        EXPECT_EQ(::listen(listener_, 1), 0);
        thread_ = std::thread([this] { serve(); });
    }
    ~FakeControl() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
        ::unlink(path_.c_str());
    }
    FakeControl(const FakeControl&) = delete;
    FakeControl& operator=(const FakeControl&) = delete;
    const std::string& path() const { return path_; }

  private:
    static bool read_whole(int fd, void* target, size_t bytes) {
        return ::recv(fd, target, bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
    }
    static void send(int fd, FrameHeader header, const FlatBufferBuilder& builder) {
        std::vector<std::byte> bytes(frame::kHeaderBytes + (builder.GetSize() + 7) / 8 * 8);
        std::memcpy(bytes.data() + frame::kHeaderBytes, builder.GetBufferPointer(), builder.GetSize());
        frame::seal_frame(header, std::span(bytes).subspan(frame::kHeaderBytes));
        std::memcpy(bytes.data(), &header, sizeof(header));
        EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }
    void serve() {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        FrameHeader header;
        while (read_whole(fd, &header, sizeof(header))) {
            std::vector<uint64_t> payload(header.payload_bytes / 8);
            if (!read_whole(fd, payload.data(), header.payload_bytes)) break;
            FlatBufferBuilder reply;
            if (header.kind == FrameKind::kHello) {
                reply.Finish(wire::CreateHelloReply(reply, 0, 0, 0, 0, reply.CreateVector(std::vector<uint16_t>{0}), 0, 1));
                send(fd, frame::reply_to(header, FrameKind::kHelloReply), reply);
            } else if (answer_(*flatbuffers::GetRoot<wire::AdminRequest>(payload.data()), reply)) {
                send(fd, frame::reply_to(header, FrameKind::kCommandReply), reply);
            }
        }
        ::close(fd);
    }

    std::string path_;
    Answer answer_;
    int listener_ = -1;
    std::thread thread_;
};

std::unique_ptr<ControlClient> connect(const FakeControl& control, uint64_t timeout_ns = kTimeoutNs) {
    auto client = ControlClient::connect(control.path(), timeout_ns);
    EXPECT_TRUE(client.has_value());
    return client ? std::move(*client) : nullptr;
}

TEST(ControlClient, AsksAndReadsTheAnswer) {
    CreateStream seen;
    FakeControl control([&](const wire::AdminRequest& request, FlatBufferBuilder& reply) {
        EXPECT_EQ(request.op(), wire::AdminOp::CreateStream);
        seen = {request.name()->str(), request.shard_count(), request.retention_ms(), request.record_bytes_max()};
        std::vector<flatbuffers::Offset<wire::ShardInfo>> shards;
        for (uint64_t id = 5; id < 8; ++id) shards.push_back(wire::CreateShardInfo(reply, id));
        const std::vector<flatbuffers::Offset<wire::StreamInfo>> streams{
            wire::CreateStreamInfoDirect(reply, 9, "quotes", 1, 1000, 2000, 3, &shards)};
        reply.Finish(wire::CreateAdminReplyDirect(reply, 0, 0, nullptr, &streams));
        return true;
    });
    const auto client = connect(control);
    ASSERT_NE(client, nullptr);
    const auto stream = client->create_stream({"quotes", 3, 1000, 2000});
    ASSERT_TRUE(stream.has_value());
    EXPECT_EQ(seen.name, "quotes");
    EXPECT_EQ(seen.shard_count, 3U);
    EXPECT_EQ(seen.retention_ms, 1000U);
    EXPECT_EQ(seen.record_bytes_max, 2000U);
    EXPECT_EQ(stream->id, StreamId{9});
    EXPECT_EQ(stream->shard_count, 3U);
    EXPECT_EQ(stream->shards.back().id, ShardId{7});
    EXPECT_EQ(client->message(), "");
}

TEST(ControlClient, AChangeNamesWhatItChangesAndTagsComeBack) {
    wire::StreamField fields{};
    uint64_t quota = 1;
    std::string key;
    FakeControl control([&](const wire::AdminRequest& request, FlatBufferBuilder& reply) {
        if (request.op() == wire::AdminOp::SetStream) {
            fields = request.fields();
            quota = request.quota_bytes_per_s();
        }
        if (request.op() == wire::AdminOp::UntagStream) key = request.tags()->Get(0)->key()->str();
        const std::vector<flatbuffers::Offset<wire::Tag>> tags{wire::CreateTagDirect(reply, "team", "feeds")};
        const std::vector<flatbuffers::Offset<wire::StreamInfo>> streams{
            wire::CreateStreamInfoDirect(reply, 9, "quotes", 1, 1000, 2000, 3, nullptr, 64, 10, 11, 12, &tags, 13)};
        reply.Finish(wire::CreateAdminReplyDirect(reply, 0, 0, nullptr, &streams));
        return true;
    });
    const auto client = connect(control);
    ASSERT_NE(client, nullptr);
    EXPECT_TRUE(client->set_stream({.name = "quotes", .record_bytes_max = 5, .quota_bytes_per_s = 0}).has_value());
    EXPECT_EQ(fields, wire::StreamField::RecordBytesMax | wire::StreamField::QuotaBytesPerS);
    EXPECT_EQ(quota, 0U);
    EXPECT_TRUE(client->untag_stream("quotes", {"team"}).has_value());
    EXPECT_EQ(key, "team");
    const auto stream = client->describe_stream("quotes");
    ASSERT_TRUE(stream.has_value());
    EXPECT_EQ(stream->retention_bytes, 10U);
    EXPECT_EQ(stream->quota_bytes_per_s, 11U);
    EXPECT_EQ(stream->quota_records_per_s, 12U);
    EXPECT_EQ(stream->stored_bytes, 13U);
    ASSERT_EQ(stream->tags.size(), 1U);
    EXPECT_EQ(stream->tags[0].second, "feeds");
}

TEST(ControlClient, ListsSayHowManyShardsThereAre) {
    FakeControl control([](const wire::AdminRequest&, FlatBufferBuilder& reply) {
        const std::vector<flatbuffers::Offset<wire::StreamInfo>> streams{
            wire::CreateStreamInfoDirect(reply, 9, "quotes", 1, 1000, 2000, 3, nullptr, 64)};
        reply.Finish(wire::CreateAdminReplyDirect(reply, 0, 0, "From the catalogue.", &streams));
        return true;
    });
    const auto client = connect(control);
    ASSERT_NE(client, nullptr);
    const auto streams = client->list_streams();
    ASSERT_TRUE(streams.has_value());
    ASSERT_EQ(streams->size(), 1U);
    EXPECT_TRUE(streams->front().shards.empty());
    EXPECT_EQ(streams->front().shard_count, 64U);
    EXPECT_EQ(client->message(), "From the catalogue.");
}

TEST(ControlClient, ARefusalKeepsItsCodeItsDetailAndItsWordsUntilTheNextAnswer) {
    bool refuses = true;
    FakeControl control([&](const wire::AdminRequest&, FlatBufferBuilder& reply) {
        const auto code = static_cast<uint16_t>(refuses ? Errc::kStreamExists : Errc::kOk);
        reply.Finish(wire::CreateAdminReplyDirect(reply, code, 12, refuses ? "It is there already." : nullptr));
        return true;
    });
    const auto client = connect(control);
    ASSERT_NE(client, nullptr);
    const Status refused = client->delete_stream("quotes");
    EXPECT_EQ(refused.error().code, Errc::kStreamExists);
    EXPECT_EQ(refused.error().detail, 12U);
    EXPECT_EQ(client->message(), "It is there already.");
    refuses = false;
    EXPECT_TRUE(client->set_retention("quotes", 5).has_value());
    EXPECT_EQ(client->message(), "");
}

TEST(ControlClient, AnAnswerOfNonsenseIsAnError) {
    FakeControl control([](const wire::AdminRequest&, FlatBufferBuilder& reply) {
        const std::vector<uint8_t> nonsense(64, 0xEE);
        reply.Finish(flatbuffers::Offset<wire::AdminReply>(reply.CreateVector(nonsense).o));
        return true;
    });
    const auto client = connect(control);
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(client->list_streams().error().code, Errc::kBadSchema);
}

TEST(ControlClient, SilenceIsATimeout) {
    FakeControl control([](const wire::AdminRequest&, FlatBufferBuilder&) { return false; });
    const auto client = connect(control, 300'000'000ULL);
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(client->accept_clock().error().code, Errc::kTimeout);
}

TEST(ControlClient, NobodyThereIsToldWithinItsTime) {
    const auto client = ControlClient::connect("/tmp/eagre-no-control-here.sock", 200'000'000ULL);
    ASSERT_FALSE(client.has_value());
    EXPECT_TRUE(client.error().code == Errc::kDisconnected || client.error().code == Errc::kTimeout);
}

}  // namespace
}  // namespace eagre::client
