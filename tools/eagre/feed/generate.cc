#include "tools/eagre/feed/generate.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>

#include "perf/load/schedule.h"
#include "tools/eagre/feed/pace.h"
#include "tools/eagre/progress.h"
#include "tools/eagre/text.h"
#include "wire/base/prng.h"
#include "wire/feeds/moldudp64.h"

namespace eagre::cli {
namespace {

constexpr int kEndCount = 3;  // It may be lost as well.

struct Line {
    explicit Line(const SenderOptions& options, uint64_t seed) : sender(options), prng(seed) {}
    DatagramSender sender;
    Prng prng;  // Of its own: what one loses the other need not.
    uint64_t dropped = 0;
};

class Generator {
  public:
    Generator(const GenerateOptions& options, load::RecordSource& source) : options_(options), source_(source), writer_(options.session, options.datagram_bytes) {
        for (size_t i = 0; i < options.to.size(); ++i)
            lines_.push_back(std::make_unique<Line>(SenderOptions{options.to[i], options.interface, options.hops}, options.seed + i + 1));
        report_.next_sequence = options.first_sequence;
    }

    GenerateReport run() {
        const uint64_t start_ns = monotonic_ns();
        const load::Schedule schedule(start_ns, options_.rate_per_s);
        const uint64_t end_ns = options_.seconds > 0 ? start_ns + static_cast<uint64_t>(options_.seconds * 1e9) : UINT64_MAX;
        Progress progress;
        std::optional<frame::RecordView> message = source_.next();
        while (message && (options_.message_count == 0 || report_.message_count < options_.message_count)) {
            const uint64_t now_ns = monotonic_ns();
            if (now_ns >= end_ns) break;
            const uint64_t due = std::min(schedule.due_count(now_ns), options_.message_count == 0 ? UINT64_MAX : options_.message_count);
            while (message && report_.message_count < due && more_in_turn()) {
                take(message->data);
                message = source_.next();
            }
            turn_count_ = 0;
            send_datagram();
            for (const auto& line : lines_) line->sender.flush();
            if (report_.message_count >= due && schedule.open_loop() && wait_until(std::min(end_ns, schedule.due_ns(report_.message_count)))) break;
            if (!schedule.open_loop() && wait_until(0)) break;
            const double seconds = static_cast<double>(monotonic_ns() - start_ns) / 1e9;
            const double share = options_.message_count != 0 ? static_cast<double>(report_.message_count) / static_cast<double>(options_.message_count)
                                 : options_.seconds > 0      ? seconds / options_.seconds
                                                             : -1;
            progress.show("sending", share, fmt::format("{} messages", grouped(report_.message_count)));
        }
        for (int i = 0; options_.end && i < kEndCount; ++i) {
            for (const auto& line : lines_) {
                line->sender.send(writer_.finish_empty(report_.next_sequence, true));
                line->sender.flush();
            }
        }
        report_.seconds = static_cast<double>(monotonic_ns() - start_ns) / 1e9;
        for (size_t i = 0; i < lines_.size(); ++i) {
            const Line& line = *lines_[i];
            report_.lines.push_back({options_.to[i].text(), line.sender.sent(), line.dropped, line.sender.bytes(), line.sender.refused()});
        }
        return report_;
    }

  private:
    // So many at a time when far behind: then it is looked whether to stop.
    bool more_in_turn() { return ++turn_count_ <= 10'000; }

    void take(std::span<const std::byte> message) {
        if (!writer_.fits(message.size()))
            throw std::runtime_error(fmt::format("a message of {} bytes does not fit a datagram of {}; say --datagram-bytes {}", message.size(), options_.datagram_bytes,
                                                 feeds::kMoldHeaderBytes + 2 + message.size()));
        if ((options_.messages_max != 0 && writer_.count() == options_.messages_max) || !writer_.add(message)) {
            send_datagram();
            (void)writer_.add(message);
        }
        ++report_.message_count;
    }

    void send_datagram() {
        if (writer_.count() == 0) return;
        const uint64_t sequence = report_.next_sequence;
        const auto datagram = writer_.finish(sequence);
        bool arrived = false;
        for (const auto& line : lines_) {
            const bool lost = line->prng.chance(options_.drop_per_million);
            line->dropped += lost ? 1U : 0U;
            arrived |= !lost;
            if (!lost) line->sender.send(datagram);
        }
        if (!arrived) {
            report_.lost_messages += writer_.count();
            report_.lost_ranges += lost_before_ ? 0U : 1U;
        }
        lost_before_ = !arrived;
        ++report_.datagram_count;
        report_.next_sequence += writer_.count();
        writer_.clear();
    }

    const GenerateOptions& options_;
    load::RecordSource& source_;
    feeds::MoldWriter writer_;
    std::vector<std::unique_ptr<Line>> lines_;
    GenerateReport report_;
    bool lost_before_ = false;
    size_t turn_count_ = 0;
};

}  // namespace

GenerateReport generate(const GenerateOptions& options, load::RecordSource& source) { return Generator(options, source).run(); }

}  // namespace eagre::cli
