#include "tools/eagre/feed/watch.h"

#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <poll.h>

#include "tools/eagre/progress.h"
#include "tools/eagre/signals.h"
#include "tools/eagre/text.h"

namespace eagre::cli {
namespace {

constexpr int kPollMs = 50;
constexpr size_t kPerTurn = 512;  // Of a line; then the other has its turn.

class Watcher final : public feeds::ArbiterListener {
  public:
    explicit Watcher(const WatchOptions& options) : options_(options), arbiter_(*this, options.limits) {
        for (const ReceiverOptions& each : options.lines) {
            lines_.push_back(std::make_unique<LineReceiver>(each));
            report_.lines.push_back({});
            report_.lines.back().at = each.at.text();
            spans_.push_back({});
            polls_.push_back({lines_.back()->fd(), POLLIN, 0});
        }
    }

    WatchReport run() {
        const uint64_t start_ns = monotonic_ns();
        const uint64_t end_ns = options_.seconds > 0 ? start_ns + static_cast<uint64_t>(options_.seconds * 1e9) : UINT64_MAX;
        Progress progress;
        while (!arbiter_.ended() && monotonic_ns() < end_ns && !Signals::wait(0)) {
            const uint64_t now_ns = monotonic_ns();
            const uint64_t until_ns = std::min(arbiter_.deadline_ns(), end_ns);
            const uint64_t left_ms = until_ns > now_ns ? (until_ns - now_ns + 999'999) / 1'000'000 : 0;
            ::poll(polls_.data(), polls_.size(), static_cast<int>(std::min<uint64_t>(left_ms, kPollMs)));
            for (size_t i = 0; i < lines_.size(); ++i) {
                if ((polls_[i].revents & POLLIN) != 0) lines_[i]->receive(kPerTurn, [this, i](std::span<const std::byte> datagram) { take(i, datagram); });
            }
            arbiter_.expire(monotonic_ns());
            progress.show("listening", options_.seconds > 0 ? static_cast<double>(monotonic_ns() - start_ns) / 1e9 / options_.seconds : -1,
                          fmt::format("{} messages, {} in gaps", grouped(report_.messages), grouped(report_.gap_messages)));
        }
        report_.ended = arbiter_.ended();
        arbiter_.finish();
        report_.next_sequence = arbiter_.next();
        report_.seconds = first_ns_ == 0 ? 0 : static_cast<double>(last_ns_ - first_ns_) / 1e9;
        for (size_t i = 0; i < lines_.size(); ++i) {
            WatchedLine& line = report_.lines[i];
            line.dropped = lines_[i]->dropped();
            const uint64_t span = spans_[i].next - spans_[i].first;
            line.lost += span - std::min(span, spans_[i].messages);
        }
        return report_;
    }

    uint64_t on_session(const feeds::MoldSession& session, uint64_t first) override {
        report_.session.assign(session.data(), session.size());
        while (report_.session.ends_with(' ')) report_.session.pop_back();
        ++report_.session_count;
        report_.first_sequence = first;
        return first;
    }
    void on_message(uint64_t, std::span<const std::byte> message) override {
        ++report_.messages;
        report_.bytes += message.size();
    }
    void on_gap(uint64_t, uint64_t count) override {
        report_.gap_messages += count;
        ++report_.gap_ranges;
    }

  private:
    struct Span {
        feeds::MoldSession session{};
        uint64_t first = 0;
        uint64_t next = 0;
        uint64_t messages = 0;
    };

    void take(size_t index, std::span<const std::byte> datagram) {
        WatchedLine& line = report_.lines[index];
        ++line.datagrams;
        line.bytes += datagram.size();
        const auto header = feeds::decode_mold_header(datagram);
        if (!header) {
            ++line.broken;
            return;
        }
        last_ns_ = monotonic_ns();
        if (first_ns_ == 0) first_ns_ = last_ns_;
        count(line, spans_[index], *header);
        switch (arbiter_.take(*header, datagram, last_ns_)) {
            case feeds::Arbiter::Taken::kFirst:
            case feeds::Arbiter::Taken::kWild: ++line.first; break;
            case feeds::Arbiter::Taken::kRepeated: ++line.repeated; break;
            case feeds::Arbiter::Taken::kBroken: ++line.broken; break;
        }
    }

    static void count(WatchedLine& line, Span& span, const feeds::MoldHeader& header) {
        if (span.next == 0 || span.session != header.session) {
            const uint64_t before = span.next - span.first;
            line.lost += before - std::min(before, span.messages);
            span = {header.session, header.sequence, header.sequence, 0};
        }
        const uint64_t messages = header.is_end() ? 0 : header.count;
        line.messages += messages;
        span.messages += messages;
        span.next = std::max(span.next, header.next());
    }

    const WatchOptions& options_;
    WatchReport report_;
    feeds::Arbiter arbiter_;
    std::vector<std::unique_ptr<LineReceiver>> lines_;
    std::vector<Span> spans_;
    std::vector<pollfd> polls_;
    uint64_t first_ns_ = 0;
    uint64_t last_ns_ = 0;
};

}  // namespace

WatchReport watch(const WatchOptions& options) { return Watcher(options).run(); }

}  // namespace eagre::cli
