#include "wire/client/fetcher.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "wire/client/client_impl.h"

namespace eagre::client {
namespace {

using frame::FrameHeader;
using frame::FrameKind;

constexpr uint64_t kBusyPauseNs = 1'000'000;

class FetcherImpl final : public Fetcher, public Asker {
  public:
    explicit FetcherImpl(ClientImpl& client) : client_(client), id_(client.enlist(this)) {}
    ~FetcherImpl() override { client_.dismiss(id_); }
    FetcherImpl(const FetcherImpl&) = delete;
    FetcherImpl& operator=(const FetcherImpl&) = delete;

    void describe(std::string_view stream, std::function<void(Result<StreamDescription>)> done) override {
        Question question;
        question.header.kind = FrameKind::kMetadata;
        question.payload = metadata_request(stream);
        question.described = std::move(done);
        ask(std::move(question));
    }
    void locate(const ShardDescription& shard, frame::Position position, uint64_t value, std::function<void(Result<Located>)> done) override {
        Question question;
        question.core = shard.core;
        question.header.kind = FrameKind::kLocate;
        question.header.flags = static_cast<uint16_t>(position);
        question.header.shard = shard.id.value;
        question.header.sequence = value;
        question.located = std::move(done);
        ask(std::move(question));
    }
    void read(const ShardDescription& shard, SequenceNumber from, uint64_t bytes, std::function<void(const Delivery&)> delivery,
              std::function<void(const ReadEnd&)> done) override {
        Question question;
        question.core = shard.core;
        question.header.kind = FrameKind::kRead;
        question.header.shard = shard.id.value;
        question.header.sequence = from.value;
        question.header.number = bytes;
        question.delivery = std::move(delivery);
        question.read = std::move(done);
        ask(std::move(question));
    }

    // -- Asker
    void on_frame(uint32_t, const FrameHeader& header, std::span<const std::byte> payload) override {
        const auto found = questions_.find(header.correlation);
        if (found == questions_.end()) return;
        Question& question = found->second;
        if (header.kind == FrameKind::kDeliver && question.read) return deliver(question, header, payload);
        const Error error = error_of(frame::errc_of(header), header.detail);
        if (asked_elsewhere(question, error)) return;
        const Question answered = std::move(question);
        questions_.erase(found);
        if (answered.described) {
            answered.described(description(error, payload));
        } else if (answered.located) {
            answered.located(error.code == Errc::kOk ? Result<Located>(Located{SequenceNumber{header.sequence}, SequenceNumber{header.number}})
                                                     : Result<Located>(error));
        } else {
            answered.read(end_of(error, header, payload));
        }
    }
    void on_lost(uint32_t core, Error why) override {
        // What was asked may have been answered in part: it is for the asker to ask again.
        fail_all([core](const Question& question) { return question.sent && question.core == core; }, error_of(Errc::kDisconnected, why.detail));
    }
    void on_ready(uint32_t) override {}
    void on_map(const StreamDescription&) override {}
    bool on_poll(uint64_t now_ns) override {
        bool moved = false;
        for (auto& [correlation, question] : questions_) {
            if (!question.sent && now_ns >= question.not_before_ns) moved = send(correlation, question) || moved;
        }
        if (!questions_.empty() && now_ns >= next_check_ns_) {
            next_check_ns_ = now_ns + kCheckNs;
            fail_all([now_ns](const Question& question) { return now_ns >= question.deadline_ns; }, error_of(Errc::kTimeout));
        }
        return moved;
    }
    uint64_t next_timer_ns() const override {
        uint64_t next = questions_.empty() ? UINT64_MAX : next_check_ns_;
        for (const auto& [correlation, question] : questions_) {
            if (!question.sent && question.not_before_ns != 0) next = std::min(next, question.not_before_ns);
        }
        return next;
    }

  private:
    static constexpr uint64_t kCheckNs = 50'000'000;

    struct Question {
        FrameHeader header;
        std::vector<std::byte> payload;
        uint32_t core = 0;
        bool sent = false;
        bool delivered = false;
        uint64_t not_before_ns = 0;
        uint64_t deadline_ns = 0;
        std::function<void(Result<StreamDescription>)> described;
        std::function<void(Result<Located>)> located;
        std::function<void(const Delivery&)> delivery;
        std::function<void(const ReadEnd&)> read;
    };

    void ask(Question question) {
        question.deadline_ns = client_.now_ns() + client_.options().request_timeout_ns;
        const uint64_t correlation = client_.next_correlation(id_);
        Question& kept = questions_.emplace(correlation, std::move(question)).first->second;
        send(correlation, kept);
    }
    bool send(uint64_t correlation, Question& question) {
        Connection* connection = client_.connection(question.core);
        if (connection == nullptr || !connection->ready()) return false;
        question.header.correlation = correlation;
        question.sent = true;
        connection->push(question.header, question.payload);
        return true;
    }
    /// Moved to another core, or its tables are full for a moment. Not once records have been handed out.
    bool asked_elsewhere(Question& question, Error error) {
        if ((error.code != Errc::kNotOwner && error.code != Errc::kBusy) || question.delivered) return false;
        if (error.code == Errc::kNotOwner) question.core = client_.core_of_port(static_cast<uint16_t>(error.detail));
        question.sent = false;
        question.not_before_ns = client_.now_ns() + kBusyPauseNs;
        return true;
    }

    static Result<StreamDescription> description(Error error, std::span<const std::byte> payload) {
        if (error.code != Errc::kOk) return error;
        auto streams = decode_streams(payload);
        if (!streams) return streams.error();
        if (streams->empty()) return Errc::kUnknownStream;
        return std::move(streams->front());
    }
    static ReadEnd end_of(Error error, const FrameHeader& header, std::span<const std::byte> payload) {
        ReadEnd end{error, SequenceNumber{header.number}};
        for (size_t at = 0; error.code == Errc::kShardClosed && at + sizeof(uint64_t) <= payload.size(); at += sizeof(uint64_t)) {
            uint64_t child = 0;
            std::memcpy(&child, payload.data() + at, sizeof(child));
            end.children.push_back(ShardId{child});
        }
        return end;
    }
    void deliver(Question& question, const FrameHeader& header, std::span<const std::byte> payload) {
        question.delivered = true;
        const auto batch = frame::BatchView::verify(payload, header.record_count);
        if (!batch) return;  // The box says where reading goes on; what is not a batch is passed over.
        Delivery delivery;
        delivery.shard = ShardId{question.header.shard};
        delivery.first_sequence = SequenceNumber{header.sequence};
        const uint64_t wanted = question.header.sequence;
        delivery.skip = wanted <= header.sequence ? 0 : static_cast<uint32_t>(std::min<uint64_t>(wanted - header.sequence, header.record_count));
        delivery.arrival_ns = header.detail;
        delivery.tail = SequenceNumber{header.number};
        delivery.batch = *batch;
        question.delivery(delivery);
    }

    template <class Which>
    void fail_all(Which which, Error error) {
        std::vector<Question> failed;
        for (auto it = questions_.begin(); it != questions_.end();) {
            if (which(it->second)) {
                failed.push_back(std::move(it->second));
                it = questions_.erase(it);
            } else {
                ++it;
            }
        }
        for (const Question& question : failed) {
            if (question.described) question.described(error);
            if (question.located) question.located(error);
            if (question.read) question.read({error, {}});
        }
    }

    ClientImpl& client_;
    uint64_t id_;
    std::map<uint64_t, Question> questions_;
    uint64_t next_check_ns_ = 0;
};

}  // namespace

std::unique_ptr<Fetcher> ClientImpl::make_fetcher() { return std::make_unique<FetcherImpl>(*this); }

}  // namespace eagre::client
