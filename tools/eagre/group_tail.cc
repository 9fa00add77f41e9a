#include "tools/eagre/group_tail.h"

#include <unistd.h>

#include <memory>
#include <set>

#include <fmt/format.h>

#include "perf/load/error_text.h"
#include "tools/eagre/paced_output.h"
#include "tools/eagre/signals.h"
#include "wire/client/group_consumer.h"

namespace eagre::cli {
namespace {

constexpr uint64_t kPollNs = 20'000'000;
constexpr uint64_t kCheckpointNs = 1'000'000'000;
constexpr uint64_t kWriteNs = 20'000'000;       // Then the group hears of us again.
constexpr uint64_t kGiveUpNs = 500'000'000;     // For the rest of a record that standard output has a part of.
constexpr uint64_t kLeaveNs = 5'000'000'000;
constexpr uint64_t kNoShardNs = 5'000'000'000;  // --no-follow: so long without a shard, and others have them all.

class Member {
  public:
    Member(const Target& target, const GroupTail& options)
        : options_(options), out_(options.format, STDOUT_FILENO), client_(target.connect()) {
        client::GroupOptions group;
        group.member = options.member;
        group.start = options.start;
        // What counts as done is what standard output has taken, not what was handed to us.
        group.auto_checkpoint = false;
        auto joined = client_->join_group(options.stream, options.group, group);
        if (!joined) fail(fmt::format("group {} of stream {}", options.group, options.stream), joined.error());
        consumer_ = std::move(*joined);
        consumer_->on_delivery([this](const client::Delivery& delivery) { on_delivery(delivery); });
        consumer_->on_event([this](ShardId shard, Error error) { on_event(shard, error); });
        consumer_->on_granted([this](const client::GroupLease& lease) { say_granted(lease); });
        consumer_->on_release([this](ShardId shard) { on_release(shard); });
        fmt::print(stderr, "eagre: {} is in group {} of {}\n", consumer_->member(), options.group, options.stream);
        for (const client::GroupLease& lease : consumer_->leases()) say_granted(lease);
    }

    int run() {
        client::Transport& transport = client_->transport();
        uint64_t checkpoint_at_ns = transport.monotonic_ns() + kCheckpointNs;
        while (!out_.closed() && !Signals::wait(0)) {
            // Whoever reads us may be slow. The group must hear of us all the same, and what piles up here is bounded: by what
            // is full, and the credit of each shard.
            client_->poll(out_.empty() ? kPollNs : 0);
            out_.write(kWriteNs);
            consumer_->hold(done_ || out_.full());
            settle_ends();
            if (transport.monotonic_ns() >= checkpoint_at_ns) {
                checkpoint_all();
                checkpoint_at_ns = transport.monotonic_ns() + kCheckpointNs;
            }
            if (!out_.empty() || !read_.empty()) continue;
            if (done_ || (options_.no_follow && has_read_all(transport.monotonic_ns()))) break;
        }
        out_.write(kGiveUpNs);
        checkpoint_all();
        const Status left = consumer_->leave(kLeaveNs);
        if (!left && status_ == 0) {
            fmt::print(stderr, "eagre: {}\n", load::error_text("leaving the group", left.error()));
            status_ = 1;
        }
        return status_;
    }

  private:
    bool has_read_all(uint64_t now_ns) {
        if (consumer_->at_tail()) return true;
        if (consumer_->at_tail_but_for_unavailable()) {
            status_ = 1;  // Told by on_event: which, and what to do.
            return true;
        }
        if (!consumer_->leases().empty()) {
            shardless_since_ns_ = 0;
        } else if (shardless_since_ns_ == 0) {
            shardless_since_ns_ = now_ns;
        } else if (now_ns >= shardless_since_ns_ + kNoShardNs) {
            fmt::print(stderr, "eagre: other members of the group read all shards; see 'eagre group describe {} {}'\n", options_.stream,
                       options_.group);
            return true;
        }
        return false;
    }

    void on_delivery(const client::Delivery& delivery) {
        for (uint32_t i = delivery.skip; i < delivery.batch.record_count() && !done_; ++i) {
            const SequenceNumber sequence{delivery.first_sequence.value + i};
            out_.add({delivery.shard, sequence, delivery.arrival_ns}, delivery.batch.record(i));
            done_ = options_.count != 0 && out_.count() == options_.count;
        }
    }

    /// Of what standard output has taken.
    void checkpoint(ShardId shard) {
        const auto last = out_.written().find(shard);
        if (last == out_.written().end() || out_.closed()) return;
        [[maybe_unused]] const Status taken = consumer_->checkpoint(shard, last->second);
        out_.written().erase(last);  // The shard's new owner says what follows, if it is no longer ours.
    }
    void checkpoint_all() {
        while (!out_.written().empty() && !out_.closed()) checkpoint(out_.written().begin()->first);
    }

    /// A shard that was read to its end is done with when the last of it has been written.
    void settle_ends() {
        for (auto each = read_.begin(); each != read_.end();) {
            const ShardId shard = *each;
            if (out_.closed() || out_.holds(shard)) {
                ++each;
                continue;
            }
            each = read_.erase(each);
            checkpoint(shard);
            [[maybe_unused]] const Status taken = consumer_->checkpoint(shard, client::kShardEnd);
        }
    }

    void on_release(ShardId shard) {
        out_.give_up(shard, kGiveUpNs);
        read_.erase(shard);
        checkpoint(shard);
        fmt::print(stderr, "eagre: gives up shard {}\n", shard.value);
    }

    void on_event(ShardId shard, Error error) {
        if (error.code == Errc::kShardClosed) {
            if (!done_) read_.insert(shard);
            fmt::print(stderr, "eagre: shard {} was read to its end\n", shard.value);
            return;
        }
        const std::string what = shard.value == 0 ? fmt::format("group {} of stream {}", options_.group, options_.stream)
                                                  : fmt::format("shard {}", shard.value);
        fmt::print(stderr, "eagre: {}\n", load::error_text(what, error));
        if (error.code == Errc::kLeaseLost) {
            // Somebody else prints it.
            out_.give_up(shard, 0);
            out_.written().erase(shard);
            read_.erase(shard);
        }
        // Who was taken for dead joins anew by himself; everything else of the whole group is the end.
        if (shard.value == 0 && error.code != Errc::kUnknownMember) {
            status_ = 1;
            done_ = true;
        }
    }

    static void say_granted(const client::GroupLease& lease) {
        fmt::print(stderr, "eagre: reads shard {} from {}\n", lease.shard.value,
                   lease.next.value == 0 ? std::string("its trim horizon") : fmt::format("sequence number {}", lease.next.value));
    }

    const GroupTail& options_;
    PacedOutput out_;
    std::unique_ptr<client::Client> client_;
    std::unique_ptr<client::GroupConsumer> consumer_;
    std::set<ShardId> read_;  // To their ends, which the group has not been told.
    uint64_t shardless_since_ns_ = 0;  // 0: there is one, or it is not asked.
    bool done_ = false;
    int status_ = 0;
};

}  // namespace

int tail_as_member(const Target& target, const GroupTail& options) {
    return Member(target, options).run();
}

}  // namespace eagre::cli
